/* The control class of a controller: ordered, acknowledged, go-back-N in both directions.
 *
 * It must not know messages or valves. Times are nanoseconds, as on the host, so that both ends round alike.
 * control_plane.py is the same in Python; wire-protocol.md section 3 has the rules.
 */
#ifndef SEL_CONTROL_H
#define SEL_CONTROL_H

#include "sel_codec.h"

#define SEL_CONTROL_WINDOW 8
#define SEL_CONTROL_ROOM 16     /* own messages that wait or fly; the second half is for answers to the host */
#define SEL_CONTROL_PAYLOAD 246 /* EJECT_EXC with 35 reports */
#define SEL_RTO_MIN_NS 5000000
#define SEL_RTO_MAX_NS 50000000
#define SEL_MAX_DOUBLINGS 6

struct sel_control_item {
    int64_t sent_ns;
    uint16_t seq, n;
    uint8_t type, is_repeated;
    uint8_t payload[SEL_CONTROL_PAYLOAD];
};

struct sel_control {
    struct sel_control_item items[SEL_CONTROL_ROOM]; /* ring; the first `flying` are on their way */
    uint8_t at, n, flying, credit, timeouts;
    uint8_t must_resend, has_fast_resent, has_deadline, has_rtt, is_ack_due;
    uint16_t next_seq_out, next_seq_in, fast_resent_seq;
    int64_t deadline_ns, srtt_ns, var_ns;
};

static inline void sel_control_init(struct sel_control *c)
{
    memset(c, 0, sizeof *c);
    c->credit = SEL_CONTROL_WINDOW;
}

/* How many more messages of the host can be taken: each may need an answer. */
static inline uint8_t sel_control_room(const struct sel_control *c)
{
    return (uint8_t)(SEL_CONTROL_ROOM - c->n);
}

static inline struct sel_control_item *sel_control_item(struct sel_control *c, uint8_t index)
{
    return &c->items[(c->at + index) % SEL_CONTROL_ROOM];
}

/* Queue one message; the caller has seen to it that there is room. Returns where its payload goes. */
static inline uint8_t *sel_control_push(struct sel_control *c, uint8_t type, size_t n)
{
    struct sel_control_item *item = sel_control_item(c, c->n++);

    item->type = type;
    item->n = (uint16_t)n;
    item->seq = c->next_seq_out++;
    item->is_repeated = 0;
    return item->payload;
}

/* Is this the host's next message, and is there room for its answer? Either way an acknowledgement is due. */
static inline int sel_control_accept(struct sel_control *c, uint16_t seq)
{
    c->is_ack_due = 1;
    if (seq != c->next_seq_in || sel_control_room(c) == 0)
        return 0;
    c->next_seq_in++;
    return 1;
}

static inline int64_t sel_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline void sel_rtt_add(struct sel_control *c, int64_t rtt_ns)
{
    int64_t off = rtt_ns - c->srtt_ns;

    if (!c->has_rtt) {
        c->has_rtt = 1;
        c->srtt_ns = rtt_ns;
        c->var_ns = rtt_ns / 2;
        return;
    }
    c->var_ns += sel_floor_div((off < 0 ? -off : off) - c->var_ns, 4);
    c->srtt_ns += sel_floor_div(off, 8);
}

static inline void sel_control_restart_timer(struct sel_control *c, int64_t now_ns)
{
    int64_t rto_ns = c->srtt_ns + 4 * c->var_ns;

    rto_ns = rto_ns < SEL_RTO_MIN_NS ? SEL_RTO_MIN_NS : rto_ns;
    rto_ns = rto_ns > SEL_RTO_MAX_NS ? SEL_RTO_MAX_NS : rto_ns;
    rto_ns <<= c->timeouts; /* the controller never gives up: its watchdog decides */
    c->deadline_ns = now_ns + (rto_ns > SEL_RTO_MAX_NS ? SEL_RTO_MAX_NS : rto_ns);
}

static inline void sel_control_on_ack(struct sel_control *c, uint16_t next_seq, uint8_t credit, int64_t now_ns)
{
    struct sel_control_item *item = sel_control_item(c, 0);
    uint16_t done;

    c->credit = credit;
    if (c->flying == 0)
        return;
    done = (uint16_t)(next_seq - item->seq);
    if (done == 0) { /* asks for a repeat; obeyed once for each oldest message, since repeats cause more of these */
        if (!c->has_fast_resent || c->fast_resent_seq != item->seq) {
            c->has_fast_resent = 1;
            c->fast_resent_seq = item->seq;
            c->must_resend = 1;
        }
    } else if (done <= c->flying) {
        item = sel_control_item(c, (uint8_t)(done - 1));
        if (!item->is_repeated)
            sel_rtt_add(c, now_ns - item->sent_ns);
        c->at = (uint8_t)((c->at + done) % SEL_CONTROL_ROOM);
        c->n = (uint8_t)(c->n - done);
        c->flying = (uint8_t)(c->flying - done);
        c->timeouts = 0;
        c->has_deadline = c->flying != 0;
        if (c->has_deadline)
            sel_control_restart_timer(c, now_ns);
    }
}

/* Which of the own messages to put on the wire now: [*first, *end) of sel_control_item(). */
static inline void sel_control_due(struct sel_control *c, int64_t now_ns, uint8_t *first, uint8_t *end)
{
    uint8_t limit = c->credit < 1 ? 1 : c->credit, i;

    if (c->has_deadline && now_ns >= c->deadline_ns) {
        c->timeouts = (uint8_t)(c->timeouts + (c->timeouts < SEL_MAX_DOUBLINGS));
        c->must_resend = 1;
    }
    *first = c->must_resend ? 0 : c->flying;
    for (i = 0; c->must_resend && i < c->flying; i++)
        sel_control_item(c, i)->is_repeated = 1;
    c->must_resend = 0;
    while (c->flying < c->n && c->flying < SEL_CONTROL_WINDOW && c->flying < limit)
        c->flying++;
    *end = c->flying;
    for (i = *first; i < *end; i++)
        sel_control_item(c, i)->sent_ns = now_ns;
    if (*first < *end) {
        c->has_deadline = 1;
        sel_control_restart_timer(c, now_ns);
    }
}

#endif
