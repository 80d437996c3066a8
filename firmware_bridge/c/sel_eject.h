/* The eject class of a controller: each event once, refused with a reason or fired at its tick, valves within limits.
 *
 * It must not know frames, sessions, states or ports. Ticks are microseconds since power on and never wrap here; event
 * ids are unwrapped to 64 bits. board_ejects.py, valve_bank.py, event_window.py and late_rate.py are the same in Python.
 *
 * A controller with hardware calls sel_eject_run() from its timer, asks sel_eject_next() when to be called again and
 * sel_eject_is_open() what to put on each output. Memory is the caller's: sizeof(struct sel_eject) is about
 * 32 B x SEL_SLOTS + 32 B x SEL_VALVES + 8 B x SEL_REPORTS.
 */
#ifndef SEL_EJECT_H
#define SEL_EJECT_H

#include "sel_msgs.h"

#ifndef SEL_SLOTS
#define SEL_SLOTS 1024 /* longest queue of accepted events: 100 ms of 10,000 a second */
#endif
#ifndef SEL_VALVES
#define SEL_VALVES 256
#endif
#define SEL_REPORTS 2048       /* power of two; reports and the events that may still need one */
#define SEL_SELFTEST_EVID (-1) /* the pulse of a self-test belongs to no event */
#define SEL_NO_REASON 0        /* no EjectReason has this number */
#define SEL_NEVER (-((int64_t)1 << 62))
#define SEL_SECOND 1000000

/* What an observer may want to know; both may be null. */
struct sel_observer {
    void *ctx;
    /* `count` adjacent valves will be open from open_tick until close_tick, unless cut before. */
    void (*pulse)(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick, int64_t close_tick);
    void (*cut)(void *ctx, int64_t tick); /* every valve closes */
};

struct sel_event {
    int64_t tick, evid;
    uint32_t mask; /* bit i: valve first_valve + i */
    uint16_t first_valve, pulse;
    int16_t lateness_10us;
    uint8_t reason; /* what is not normal about it if it fires */
};

struct sel_valve {
    int64_t since, until; /* open in [since, until) */
    int64_t used_tick;
    int32_t used; /* open time that counts against the duty, as of used_tick */
};

struct sel_part {
    int64_t start, stop; /* what a valve's limits leave to one event */
    int32_t extra;       /* ticks that it is open longer because of it */
    int has_met;
};

struct sel_eject_limits {
    uint32_t max_pulse, min_off, late_tol, horizon, max_open, max_duty;
};

struct sel_eject {
    struct sel_observer observer;
    struct sel_eject_limits limits;
    uint16_t n_valves, slots;
    int64_t now;        /* last tick run to */
    int64_t last_close; /* latest `until` of all valves */
    uint32_t fired, late, duplicates;
    uint16_t queue_high;
    uint8_t has_overrun; /* an event was refused because the queue was full */

    int64_t next_evid;
    uint8_t seen[SEL_WINDOW_EVENTS / 8]; /* bit evid % SEL_WINDOW_EVENTS */

    uint16_t pending;
    struct sel_event queue[SEL_SLOTS]; /* binary heap by tick, then id */
    struct sel_valve valves[SEL_VALVES];

    uint16_t reports_at, reports_n;
    struct sel_eject_report reports[SEL_REPORTS]; /* ring */

    int64_t rate_end; /* lateness is judged a second at a time */
    uint32_t rate_events, rate_late;
};

enum sel_rate { SEL_RATE_UNDECIDED, SEL_RATE_GOOD, SEL_RATE_POOR, SEL_RATE_HOPELESS };

/* The number that is congruent to `value` modulo 2^32 and nearest to `near`. */
static inline int64_t sel_unwrap(uint32_t value, int64_t near)
{
    return near + (int32_t)(value - (uint32_t)(uint64_t)near);
}

static inline int64_t sel_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t sel_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline void sel_eject_init(struct sel_eject *e, uint16_t n_valves, uint16_t slots, struct sel_observer observer)
{
    uint16_t i;

    memset(e, 0, sizeof *e);
    e->observer = observer;
    e->n_valves = n_valves;
    e->slots = slots;
    e->last_close = SEL_NEVER;
    e->rate_end = SEL_SECOND;
    for (i = 0; i < n_valves; i++)
        e->valves[i].since = e->valves[i].until = SEL_NEVER;
}

/* ---- each event once ---- */

enum sel_arrival { SEL_NEW, SEL_DUPLICATE, SEL_STALE };

static inline enum sel_arrival sel_window_add(struct sel_eject *e, int64_t evid)
{
    size_t bit = (size_t)((uint64_t)evid % SEL_WINDOW_EVENTS);
    uint8_t mask = (uint8_t)(1u << bit % 8);

    if (evid < e->next_evid - SEL_WINDOW_EVENTS)
        return SEL_STALE;
    if (evid >= e->next_evid) {
        int64_t skip = sel_max(e->next_evid, evid - (SEL_WINDOW_EVENTS - 1));

        for (; skip <= evid; skip++) { /* these numbers stood for older ids */
            size_t at = (size_t)((uint64_t)skip % SEL_WINDOW_EVENTS);

            e->seen[at / 8] = (uint8_t)(e->seen[at / 8] & ~(1u << at % 8));
        }
        e->next_evid = evid + 1;
    } else if (e->seen[bit / 8] & mask) {
        return SEL_DUPLICATE;
    }
    e->seen[bit / 8] = (uint8_t)(e->seen[bit / 8] | mask);
    return SEL_NEW;
}

/* What EJECT_ACK tells about base_evid and the 63 ids after it. */
static inline uint64_t sel_eject_received(const struct sel_eject *e, uint32_t base_evid)
{
    int64_t base = sel_unwrap(base_evid, e->next_evid);
    uint64_t received = 0;
    int i;

    for (i = 0; i < 64; i++) {
        size_t bit = (size_t)((uint64_t)(base + i) % SEL_WINDOW_EVENTS);
        int is_known = base + i >= e->next_evid - SEL_WINDOW_EVENTS && base + i < e->next_evid;

        if (is_known && e->seen[bit / 8] & 1u << bit % 8)
            received |= (uint64_t)1 << i;
    }
    return received;
}

/* ---- reports ---- */

static inline void sel_report(struct sel_eject *e, int64_t evid, uint8_t reason, int16_t lateness_10us)
{
    struct sel_eject_report *report = &e->reports[(e->reports_at + e->reports_n++) % SEL_REPORTS];

    report->evid = (uint32_t)(uint64_t)evid;
    report->reason = reason;
    report->lateness_10us = lateness_10us;
}

/* Take the oldest reports, at most `max`. */
static inline uint8_t sel_eject_take_reports(struct sel_eject *e, struct sel_eject_report *out, uint8_t max)
{
    uint8_t n = 0;

    while (n < max && e->reports_n != 0) {
        out[n++] = e->reports[e->reports_at];
        e->reports_at = (uint16_t)((e->reports_at + 1u) % SEL_REPORTS);
        e->reports_n--;
    }
    return n;
}

/* Every event taken may need one report; without room for it the event is not taken, and the host repeats it. */
static inline int sel_has_report_room(const struct sel_eject *e)
{
    return e->reports_n + e->pending < SEL_REPORTS;
}

/* ---- the queue ---- */

static inline int sel_is_before(const struct sel_event *a, const struct sel_event *b)
{
    return a->tick != b->tick ? a->tick < b->tick : a->evid < b->evid;
}

static inline void sel_queue_up(struct sel_event *queue, uint16_t at)
{
    struct sel_event event = queue[at];

    while (at > 0 && sel_is_before(&event, &queue[(at - 1u) / 2])) {
        queue[at] = queue[(at - 1u) / 2];
        at = (uint16_t)((at - 1u) / 2);
    }
    queue[at] = event;
}

static inline void sel_queue_down(struct sel_event *queue, uint16_t n, uint16_t at)
{
    struct sel_event event = queue[at];

    for (;;) {
        uint16_t child = (uint16_t)(2u * at + 1u);

        if (child >= n)
            break;
        if (child + 1u < n && sel_is_before(&queue[child + 1u], &queue[child]))
            child++;
        if (!sel_is_before(&queue[child], &event))
            break;
        queue[at] = queue[child];
        at = child;
    }
    queue[at] = event;
}

static inline void sel_queue_remove(struct sel_eject *e, uint16_t at)
{
    e->pending--;
    if (at == e->pending)
        return;
    e->queue[at] = e->queue[e->pending];
    sel_queue_down(e->queue, e->pending, at);
    sel_queue_up(e->queue, at);
}

/* ---- valves ---- */

static inline struct sel_part sel_part_of(const struct sel_eject *e, uint16_t valve, int64_t start, int64_t stop)
{
    const struct sel_valve *v = &e->valves[valve];
    int is_open = v->since < v->until && start <= v->until; /* or will be, at the end of its pause */
    struct sel_part part = {start, stop, 0, 0};

    if (!is_open && start >= v->until + e->limits.min_off) {
        part.extra = (int32_t)(stop - start);
        return part;
    }
    part.has_met = 1;
    if (is_open) { /* the union, cut at the longest pulse */
        part.start = sel_max(start, v->since);
        stop = sel_min(stop, v->since + e->limits.max_pulse);
        part.extra = (int32_t)sel_max(stop - v->until, 0);
    } else { /* closed too recently: open once the pause is over */
        part.start = v->until + e->limits.min_off;
        part.extra = (int32_t)sel_max(stop - part.start, 0);
    }
    part.stop = sel_max(part.start, stop);
    return part;
}

/* Open time that counts against the duty: it is forgotten at the rate of the duty. */
static inline int64_t sel_used_at(const struct sel_eject *e, const struct sel_valve *v, int64_t tick)
{
    int64_t elapsed = sel_max(tick - v->used_tick, 0);

    return sel_max(v->used - elapsed * e->limits.max_duty / 1000, 0);
}

static inline int sel_is_within_limits(const struct sel_eject *e, const uint16_t *valves, const struct sel_part *parts,
                                       int n, int64_t tick)
{
    int64_t limit = (int64_t)e->limits.max_duty * 1000;
    uint32_t open = 0;
    int i;

    if (e->limits.max_open < e->n_valves) {
        for (i = 0; i < e->n_valves; i++)
            open += e->valves[i].until > tick;
        for (i = 0; i < n; i++)
            open += e->valves[valves[i]].until <= tick;
        if (open > e->limits.max_open)
            return 0;
    }
    for (i = 0; i < n; i++)
        if (limit < SEL_SECOND && sel_used_at(e, &e->valves[valves[i]], tick) + parts[i].extra > limit)
            return 0;
    return 1;
}

static inline void sel_extend(struct sel_eject *e, uint16_t valve, const struct sel_part *part, int64_t tick)
{
    struct sel_valve *v = &e->valves[valve];

    if (part->extra == 0)
        return;
    v->used = (int32_t)(sel_used_at(e, v, tick) + part->extra);
    v->used_tick = tick;
    if (part->start > v->until || !part->has_met)
        v->since = part->start;
    v->until = part->stop;
    e->last_close = sel_max(e->last_close, part->stop);
}

/* Tell the observer, one pulse for each run of adjacent valves with equal parts. */
static inline void sel_observe(const struct sel_eject *e, int64_t evid, const uint16_t *valves,
                               const struct sel_part *parts, int n)
{
    int first = 0, end;

    if (e->observer.pulse == NULL)
        return;
    for (end = 1; end <= n; end++) {
        const struct sel_part *p = &parts[first];

        if (end < n && valves[end] == valves[end - 1] + 1 && parts[end].start == p->start && parts[end].stop == p->stop)
            continue;
        if (p->start < p->stop)
            e->observer.pulse(e->observer.ctx, evid, valves[first], (uint16_t)(end - first), p->start, p->stop);
        first = end;
    }
}

/* Open valves now, within their limits. Returns -1 when a limit forbids it, 1 when another pulse was met, else 0. */
static inline int sel_open(struct sel_eject *e, int64_t evid, int64_t tick, uint16_t first_valve, uint32_t mask,
                           uint16_t pulse)
{
    int64_t stop = tick + sel_min(pulse, e->limits.max_pulse); /* the limit may be lower than when it was taken */
    uint16_t valves[32];
    struct sel_part parts[32];
    int n = 0, has_met = 0, i;

    for (i = 0; i < 32; i++) {
        if ((mask >> i & 1u) == 0)
            continue;
        valves[n] = (uint16_t)(first_valve + i);
        parts[n] = sel_part_of(e, valves[n], tick, stop);
        has_met |= parts[n].has_met;
        n++;
    }
    if (!sel_is_within_limits(e, valves, parts, n, tick))
        return -1;
    for (i = 0; i < n; i++)
        sel_extend(e, valves[i], &parts[i], tick);
    sel_observe(e, evid, valves, parts, n);
    return has_met;
}

static inline void sel_fire(struct sel_eject *e, const struct sel_event *event)
{
    int result = sel_open(e, event->evid, event->tick, event->first_valve, event->mask, event->pulse);
    uint8_t reason = event->reason;

    if (result < 0)
        reason = SEL_EJECT_REASON_DUTY_LIMIT;
    else if (reason == SEL_NO_REASON && event->pulse > e->limits.max_pulse)
        reason = SEL_EJECT_REASON_PULSE_CLAMPED;
    else if (reason == SEL_NO_REASON && result > 0)
        reason = SEL_EJECT_REASON_MERGED;
    e->fired += result >= 0;
    if (reason != SEL_NO_REASON)
        sel_report(e, event->evid, reason, event->lateness_10us);
}

/* Fire what is due up to and including `tick`. */
static inline void sel_eject_run(struct sel_eject *e, int64_t tick)
{
    while (e->pending != 0 && e->queue[0].tick <= tick) {
        struct sel_event event = e->queue[0];

        sel_queue_remove(e, 0);
        sel_fire(e, &event);
    }
    e->now = sel_max(e->now, tick);
}

/* Nothing waits and no valve is open at the tick last run to. */
static inline int sel_eject_is_quiet(const struct sel_eject *e)
{
    return e->pending == 0 && e->last_close <= e->now;
}

static inline int sel_eject_is_open(const struct sel_eject *e, uint16_t valve, int64_t tick)
{
    return e->valves[valve].since <= tick && tick < e->valves[valve].until;
}

/* The next tick after `tick` at which an output may change; INT64_MAX when none will. Cost: one look at every valve. */
static inline int64_t sel_eject_next(const struct sel_eject *e, int64_t tick)
{
    int64_t next = e->pending != 0 ? e->queue[0].tick : INT64_MAX;
    uint16_t i;

    for (i = 0; i < e->n_valves; i++) {
        if (e->valves[i].until > tick)
            next = sel_min(next, e->valves[i].since > tick ? e->valves[i].since : e->valves[i].until);
    }
    return next;
}

/* Close every valve at `tick`, whatever was planned. */
static inline void sel_eject_close_all(struct sel_eject *e, int64_t tick)
{
    uint16_t i;

    if (e->observer.cut != NULL)
        e->observer.cut(e->observer.ctx, tick);
    for (i = 0; i < e->n_valves; i++) {
        e->valves[i].since = sel_min(e->valves[i].since, tick);
        e->valves[i].until = sel_min(e->valves[i].until, tick);
    }
    e->last_close = sel_min(e->last_close, tick);
}

/* Fire what is due up to `tick`, then close every valve and cancel the rest. */
static inline void sel_eject_stop(struct sel_eject *e, int64_t tick)
{
    sel_eject_run(e, tick);
    sel_eject_close_all(e, tick);
    while (e->pending != 0) {
        int64_t evid = e->queue[0].evid;

        sel_queue_remove(e, 0);
        sel_report(e, evid, SEL_EJECT_REASON_CANCELLED, 0);
    }
}

/* Cancel what waits without a report, for a host that knows nothing of it; returns how many that were. */
static inline uint16_t sel_eject_start_session(struct sel_eject *e, int64_t now)
{
    uint16_t cancelled = e->pending;

    e->pending = 0;
    e->reports_n = 0;
    e->has_overrun = 0;
    e->rate_end = now + SEL_SECOND;
    e->rate_events = e->rate_late = 0;
    return cancelled;
}

/* ---- judging what comes in ---- */

static inline int16_t sel_in_steps(int64_t lateness)
{
    int64_t steps = lateness / 10 - (lateness % 10 < 0); /* towards the earlier step, also below 0 */

    return (int16_t)sel_max(INT16_MIN, sel_min(INT16_MAX, steps));
}

/* An event as asked for, whichever message brought it. */
struct sel_wish {
    uint16_t dt_ticks, first_valve, pulse_us;
    uint32_t mask;
    uint8_t flags;
};

static inline uint8_t sel_refusal(const struct sel_eject *e, const struct sel_wish *wish, int64_t lateness)
{
    uint32_t span = 0;

    while (span < 32 && wish->mask >> span != 0)
        span++;
    if (wish->flags & SEL_BATCH_FLAG_ENCODER)
        return SEL_EJECT_REASON_UNSUPPORTED;
    if (wish->first_valve + span > e->n_valves)
        return SEL_EJECT_REASON_BAD_VALVE;
    if (lateness > (wish->flags & SEL_BATCH_FLAG_ALLOW_LATE ? (int64_t)e->limits.late_tol : 0))
        return SEL_EJECT_REASON_LATE_DROPPED;
    if (-lateness > (int64_t)e->limits.horizon)
        return SEL_EJECT_REASON_TOO_FAR;
    return e->pending < e->slots ? SEL_NO_REASON : SEL_EJECT_REASON_QUEUE_FULL;
}

static inline void sel_admit(struct sel_eject *e, int64_t evid, const struct sel_wish *wish, int64_t fire, int64_t now)
{
    int64_t lateness = now - fire;
    uint8_t reason = sel_refusal(e, wish, lateness);
    struct sel_event *event = &e->queue[e->pending];

    e->rate_events++;
    e->rate_late += lateness > 0;
    e->late += lateness > 0;
    if (reason != SEL_NO_REASON) {
        e->has_overrun |= reason == SEL_EJECT_REASON_QUEUE_FULL;
        sel_report(e, evid, reason, sel_in_steps(lateness));
        return;
    }
    if (lateness > 0)
        reason = SEL_EJECT_REASON_LATE_FIRED;
    else if (wish->pulse_us > e->limits.max_pulse)
        reason = SEL_EJECT_REASON_PULSE_CLAMPED;
    event->tick = sel_max(fire, now);
    event->evid = evid;
    event->mask = wish->mask;
    event->first_valve = wish->first_valve;
    event->pulse = (uint16_t)sel_min(wish->pulse_us, e->limits.max_pulse);
    event->lateness_10us = reason != SEL_NO_REASON ? sel_in_steps(lateness) : (int16_t)0;
    event->reason = reason;
    sel_queue_up(e->queue, e->pending++);
}

/* Take one event of a batch: schedule or refuse it unless it was seen before. */
static inline void sel_eject_take(struct sel_eject *e, int64_t evid, uint32_t base_tick, const struct sel_wish *wish,
                                  int64_t now, int is_firing)
{
    int64_t fire = sel_unwrap(base_tick + wish->dt_ticks, now);

    if (!sel_has_report_room(e))
        return;
    if (sel_window_add(e, evid) != SEL_NEW)
        e->duplicates++;
    else if (is_firing)
        sel_admit(e, evid, wish, fire, now);
    else
        sel_report(e, evid, SEL_EJECT_REASON_NOT_ARMED, sel_in_steps(now - fire));
    if (e->pending > e->queue_high)
        e->queue_high = e->pending;
}

static inline int sel_queue_cancel(struct sel_eject *e, int64_t evid)
{
    uint16_t at;

    for (at = 0; at < e->pending; at++)
        if (e->queue[at].evid == evid) {
            sel_queue_remove(e, at);
            return 1;
        }
    return 0;
}

/* Make sure that no event of [from_evid, to_evid) fires from now on, whether it has arrived or not. */
static inline void sel_eject_cancel(struct sel_eject *e, uint32_t from_evid, uint32_t to_evid)
{
    int64_t evid = sel_unwrap(from_evid, e->next_evid);
    int64_t end = evid + (uint32_t)(to_evid - from_evid);

    for (; evid < end; evid++) {
        if (sel_queue_cancel(e, evid) || (sel_has_report_room(e) && sel_window_add(e, evid) == SEL_NEW))
            sel_report(e, evid, SEL_EJECT_REASON_CANCELLED, 0);
    }
}

/* Close the window when its second is over and judge it; few events, one of them late, decide nothing. */
static inline enum sel_rate sel_eject_judge(struct sel_eject *e, int64_t now)
{
    uint32_t events = e->rate_events, late = e->rate_late;

    if (now < e->rate_end)
        return SEL_RATE_UNDECIDED;
    e->rate_events = e->rate_late = 0;
    e->rate_end = now + SEL_SECOND;
    if (events >= 20 && (uint64_t)late * 100 > events)
        return (uint64_t)late * 100 > (uint64_t)events * 20 ? SEL_RATE_HOPELESS : SEL_RATE_POOR;
    return late != 0 ? SEL_RATE_UNDECIDED : SEL_RATE_GOOD;
}

#endif
