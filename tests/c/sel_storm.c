/* A bad line and hosts that die, against the whole controller in virtual time: does any event fire twice?
 *
 *     sel_storm [events] [seed] [first event id]
 *
 * Everything crosses the wire as bytes, COBS and CRC included, both ways. The line loses 10 % of the frames, sends 10 %
 * twice, changes bits of 1 %, and delays each copy by 0 to 12 ms of its own, so that they overtake each other. The
 * host follows wire-protocol.md section 6: batches of 20, repeated until acknowledged or too late, within the credit.
 * It dies after 1 ms to 1 s without a word. What it sent is still on the line, and its ghost sends its old batches for
 * a while, now and then under the epoch of the next host, which goes on with the event ids of IDENT. The controller is
 * never restarted.
 *
 * With -DSEL_STORM_BREAK the controller forgets now and then which events it has seen: the count must show it.
 *
 * Prints one JSON object. `fired_twice` counts events that fired again; `too_old` those that fired so long after others
 * with higher ids that the counter had no place for them any more, a million ids later: there must be none of either.
 */
#define _POSIX_C_SOURCE 199309L
#define SEL_VALVES 4096 /* so many that few pulses meet: reports about most events would be too much for this line */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sel_controller.h"

#define START_US 4290000000 /* the 32 bits of a tick wrap after five seconds */
#define STEP_US 500
#define DELAY_STEPS 24u /* 12 ms */
#define MAX_FRAMES 512u /* that arrive in one step, far more than there can be */
#define BATCH 20u
#define FLIGHTS 128u
#define OLD_BATCHES 64u
#define REPEAT_US 10000
#define PLACES (1u << 20)

struct frame {
    uint16_t n;
    uint8_t bytes[SEL_MAX_WIRE];
};

struct line {
    struct frame due[DELAY_STEPS + 1][MAX_FRAMES]; /* by step, modulo */
    uint32_t n_due[DELAY_STEPS + 1];
    uint64_t sent, lost, doubled, damaged;
};

struct flight {
    struct sel_eject_batch batch;
    int64_t sent, deadline;
    uint8_t is_open;
};

struct host {
    struct sel_decoder decoder;
    uint32_t epoch, next_evid, cfg_crc, in_flight;
    int64_t hello_due, beat_due, arm_due, heard, dies;
    uint16_t token, seq_eject, seq_telemetry, control_in, free_slots;
    uint8_t has_ident, has_told, is_armed, must_ack;
    struct flight flights[FLIGHTS];
};

struct place {
    int64_t evid;
    uint32_t fired_count; /* of the controller when it fired */
};

static struct sel_controller core;
static struct line to_board, to_host;
static struct host host;
static struct sel_eject_batch old_batches[OLD_BATCHES];
static uint32_t old_n, old_epoch;
static struct place places[PLACES];
static int64_t now, ghost_until;
static uint64_t state, wanted;
static struct {
    uint64_t sent, fired, fired_twice, too_old, acked, given_up, repeats, ghosts, sessions, deaths;
    uint64_t reasons[SEL_EJECT_REASON_UNSUPPORTED + 1];
} counts;

static uint64_t draw(void) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t end)
{
    return (uint32_t)((draw() >> 32) * end >> 32);
}

/* ---- the line ---- */

static void send_copy(struct line *line, const uint8_t *wire, size_t n)
{
    uint32_t at = ((uint32_t)(now / STEP_US) + 1 + below(DELAY_STEPS)) % (DELAY_STEPS + 1), flips;
    struct frame *frame = &line->due[at][line->n_due[at]++];

    if (line->n_due[at] > MAX_FRAMES)
        abort();
    frame->n = (uint16_t)n;
    memcpy(frame->bytes, wire, n);
    if (below(100) == 0) {
        line->damaged++;
        for (flips = 1 + below(3); flips > 0; flips--)
            frame->bytes[below((uint32_t)n)] ^= (uint8_t)(1u << below(8));
    }
}

static void send(struct line *line, const uint8_t *wire, size_t n)
{
    line->sent++;
    if (below(10) == 0) {
        line->doubled++;
        send_copy(line, wire, n);
    }
    if (below(10) == 0)
        line->lost++;
    else
        send_copy(line, wire, n);
}

/* ---- what the controller does ---- */

static void on_send(void *ctx, const uint8_t *wire, size_t n)
{
    (void)ctx;
    send(&to_host, wire, n);
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick,
                     int64_t close_tick)
{
    struct place *place = &places[(uint64_t)evid % PLACES];

    (void)ctx, (void)first_valve, (void)count, (void)open_tick, (void)close_tick;
    if (place->evid > evid) {
        counts.too_old++;
    } else if (place->evid < evid) {
        counts.fired++;
        place->evid = evid;
        place->fired_count = core.eject.fired;
    } else if (place->fired_count != core.eject.fired) { /* else only another run of its valves */
        counts.fired_twice++;
        place->fired_count = core.eject.fired;
    }
}

/* ---- the host ---- */

static void say(uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload, size_t n)
{
    uint8_t wire[SEL_MAX_WIRE];

    send(&to_board, wire, sel_encode_frame(wire, type, epoch8, seq, payload, n));
}

static uint8_t epoch8(void)
{
    return (uint8_t)(host.epoch & 0xFFu);
}

static void say_batch(const struct sel_eject_batch *batch, uint8_t under)
{
    uint8_t payload[SEL_MAX_EJECT_BATCH_B];

    say(SEL_TYPE_EJECT_BATCH, under, host.seq_eject++, payload, sel_pack_eject_batch(payload, batch));
}

static void remember(const struct sel_eject_batch *batch)
{
    old_batches[old_n++ % OLD_BATCHES] = *batch;
}

/* The next process: it knows nothing of the one before, but the epochs of both may not have the same low byte. */
static void begin_host(void)
{
    uint32_t past = host.epoch;

    old_epoch = past;
    memset(&host, 0, sizeof host);
    do {
        host.epoch = (uint32_t)draw();
    } while (epoch8() == 0 || epoch8() == (past & 0xFFu));
    sel_decoder_init(&host.decoder);
    host.token = (uint16_t)(1 + below(65535));
    host.hello_due = host.heard = now;
    host.dies = now + 1000 + (below(8) ? below(1000) : below(20)) * 1000;
    counts.sessions++;
}

static void die(void)
{
    counts.deaths++;
    ghost_until = now + 1000 * below(400);
    begin_host();
}

static void add_batch(void)
{
    struct flight *flight = host.flights;
    struct sel_eject_batch *batch;
    int64_t base;
    uint8_t i;

    while (flight < host.flights + FLIGHTS && flight->is_open)
        flight++;
    if (flight == host.flights + FLIGHTS || host.in_flight + BATCH > host.free_slots || counts.sent >= wanted)
        return;
    batch = &flight->batch;
    batch->base_evid = host.next_evid;
    base = now + 8000 + below(20000);
    batch->base_tick = (uint32_t)(uint64_t)base;
    batch->flags = (uint8_t)(below(2) ? SEL_BATCH_FLAG_ALLOW_LATE : 0);
    batch->items_n = BATCH;
    for (i = 0; i < BATCH; i++) {
        struct sel_eject_item *item = &batch->items[i];

        item->dt_ticks = (uint16_t)(50u * i + below(50));
        item->first_valve = (uint16_t)below(SEL_VALVES - 1);
        item->valve_count = (uint8_t)(1 + below(2));
        item->pulse_us = (uint16_t)(100 + below(400));
    }
    flight->is_open = 1;
    flight->sent = now;
    flight->deadline = base + batch->items[BATCH - 1].dt_ticks - 1000;
    host.next_evid += BATCH;
    host.in_flight += BATCH;
    counts.sent += BATCH;
    say_batch(batch, epoch8());
    remember(batch);
}

static void close_flight(struct flight *flight)
{
    flight->is_open = 0;
    host.in_flight -= BATCH;
}

static void repeat_batches(void)
{
    struct flight *flight;

    for (flight = host.flights; flight < host.flights + FLIGHTS; flight++) {
        if (!flight->is_open)
            continue;
        if (flight->deadline < now) {
            counts.given_up += BATCH;
            close_flight(flight);
        } else if (flight->sent + REPEAT_US <= now) {
            flight->sent = now;
            flight->batch.flags |= SEL_BATCH_FLAG_REPEAT;
            counts.repeats++;
            say_batch(&flight->batch, epoch8());
        }
    }
}

static void haunt(void)
{
    uint8_t payload[SEL_MAX_EJECT_BATCH_B], under = (uint8_t)(below(4) ? old_epoch & 0xFFu : epoch8());
    const struct sel_eject_batch *batch = &old_batches[below(OLD_BATCHES)];

    if (old_n < OLD_BATCHES || now >= ghost_until || below(2) != 0)
        return;
    counts.ghosts++;
    say(SEL_TYPE_EJECT_BATCH, under, 0, payload, sel_pack_eject_batch(payload, batch));
}

static void on_ident(const struct sel_ident *ident, uint16_t token)
{
    if (host.has_ident || token != host.token)
        return;
    host.has_ident = 1;
    host.next_evid = ident->next_evid;
    host.cfg_crc = ident->cfg_crc;
    host.free_slots = ident->slots;
    host.beat_due = host.arm_due = now;
}

static void on_ack(const struct sel_eject_ack *ack)
{
    struct flight *flight;

    host.free_slots = ack->free_slots;
    for (flight = host.flights; flight < host.flights + FLIGHTS; flight++) {
        if (flight->is_open && flight->batch.base_evid == ack->base_evid &&
            (ack->received & ((1u << BATCH) - 1u)) == (1u << BATCH) - 1u) {
            counts.acked += BATCH;
            close_flight(flight);
            return;
        }
    }
}

static void on_control(const struct sel_frame *frame)
{
    struct sel_eject_exc exc;
    uint8_t i;

    host.must_ack = 1;
    if (frame->seq != host.control_in)
        return;
    host.control_in++;
    if (frame->type == SEL_TYPE_EJECT_EXC && sel_unpack_eject_exc(&exc, frame->payload, frame->payload_len))
        for (i = 0; i < exc.reports_n; i++)
            counts.reasons[exc.reports[i].reason]++;
}

static void on_frame(const struct sel_frame *frame)
{
    struct sel_ident ident;
    struct sel_eject_ack ack;
    struct sel_status status;
    struct sel_ctrl_ack control;

    if (frame->type == SEL_TYPE_IDENT && sel_unpack_ident(&ident, frame->payload, frame->payload_len))
        on_ident(&ident, frame->seq);
    if (!host.has_ident || frame->epoch8 != epoch8())
        return;
    host.heard = now;
    if (frame->type == SEL_TYPE_EJECT_ACK && sel_unpack_eject_ack(&ack, frame->payload, frame->payload_len))
        on_ack(&ack);
    else if (frame->type == SEL_TYPE_STATUS && sel_unpack_status(&status, frame->payload, frame->payload_len))
        host.is_armed = status.state >= SEL_BOARD_STATE_ARMED;
    else if (frame->type == (SEL_TYPE_CTRL_ACK | SEL_TO_HOST) &&
             sel_unpack_ctrl_ack(&control, frame->payload, frame->payload_len))
        host.has_told |= control.next_seq == 1;
    else if (sel_delivery_of(frame->type) == SEL_DELIVERY_CONTROL)
        on_control(frame);
}

static void keep_session(void)
{
    uint8_t payload[16];

    if (!host.has_ident && host.hello_due <= now) {
        struct sel_hello hello = {1, 1, 0, 250, 0};

        hello.host_epoch = host.epoch;
        host.hello_due = now + 50000;
        say(SEL_TYPE_HELLO, 0, host.token, payload, sel_pack_hello(payload, &hello));
    }
    if (host.has_ident && !host.has_told && host.arm_due <= now) {
        struct sel_set_state wish = {SEL_BOARD_STATE_ARMED, 0};

        host.arm_due = now + 20000;
        say(SEL_TYPE_SET_STATE, epoch8(), 0, payload, sel_pack_set_state(payload, &wish));
    }
    if (host.has_ident && host.beat_due <= now) {
        struct sel_heartbeat beat = {0, 0, SEL_HEARTBEAT_FLAG_ARMED_WANTED};

        beat.cfg_crc = host.cfg_crc;
        host.beat_due = now + (host.is_armed ? 50000 : 5000);
        say(SEL_TYPE_HEARTBEAT, epoch8(), host.seq_telemetry++, payload, sel_pack_heartbeat(payload, &beat));
    }
    if (host.must_ack) {
        struct sel_ctrl_ack ack = {0, 8};

        ack.next_seq = host.control_in;
        host.must_ack = 0;
        say(SEL_TYPE_CTRL_ACK, epoch8(), host.seq_telemetry++, payload, sel_pack_ctrl_ack(payload, &ack));
    }
}

static void step_host(void)
{
    if (host.dies <= now || host.heard + 500000 <= now) {
        die();
        return;
    }
    keep_session();
    if (host.is_armed) {
        repeat_batches();
        if (now % (2 * STEP_US) == 0)
            add_batch();
    }
    haunt();
}

/* ---- one step of time ---- */

static void step(void)
{
    static uint8_t bytes[MAX_FRAMES * SEL_MAX_WIRE];
    uint32_t at, i;
    size_t n = 0, k;

    now += STEP_US;
    at = (uint32_t)(now / STEP_US) % (DELAY_STEPS + 1);
    for (i = 0; i < to_board.n_due[at]; i++) {
        memcpy(bytes + n, to_board.due[at][i].bytes, to_board.due[at][i].n);
        n += to_board.due[at][i].n;
    }
    to_board.n_due[at] = 0;
#ifdef SEL_STORM_BREAK
    if (now % 101000 == 0)
        memset(core.eject.seen, 0, sizeof core.eject.seen);
#endif
    if (n != 0)
        sel_controller_feed(&core, bytes, n, now, 0);
    sel_controller_advance(&core, now, 0);
    for (i = 0; i < to_host.n_due[at]; i++) {
        for (k = 0; k < to_host.due[at][i].n; k++) {
            if (sel_decoder_push(&host.decoder, to_host.due[at][i].bytes[k])) {
                struct sel_frame frame = sel_decoder_frame(&host.decoder);

                on_frame(&frame);
            }
        }
    }
    to_host.n_due[at] = 0;
    step_host();
}

static void print_line(const char *name, const struct line *line)
{
    printf("\"%s\": {\"sent\": %llu, \"lost\": %llu, \"doubled\": %llu, \"damaged\": %llu}, ", name,
           (unsigned long long)line->sent, (unsigned long long)line->lost, (unsigned long long)line->doubled,
           (unsigned long long)line->damaged);
}

int main(int argc, char **argv)
{
    struct sel_settings settings = {SEL_VALVES, SEL_SLOTS, 1, {0}, 0, 1, 0, 0};
    struct sel_io io = {NULL, on_send, NULL, NULL, NULL, NULL, {NULL, on_pulse, NULL}};
    int64_t end;
    struct timespec cpu;
    unsigned i;

    wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    sel_controller_init(&core, &settings, &io);
    core.eject.next_evid = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    for (i = 0; i < PLACES; i++)
        places[i].evid = -1;
    now = START_US;
    begin_host();
    while (counts.sent < wanted)
        step();
    for (end = now + 500000; now < end;) /* all that flies arrives, all that waits fires */
        step();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("{\"events\": %llu, \"fired\": %llu, ", (unsigned long long)counts.sent, (unsigned long long)counts.fired);
    printf("\"fired_twice\": %llu, \"too_old\": %llu, ", (unsigned long long)counts.fired_twice,
           (unsigned long long)counts.too_old);
    printf("\"acked\": %llu, \"given_up\": %llu, ", (unsigned long long)counts.acked,
           (unsigned long long)counts.given_up);
    printf("\"batches_repeated\": %llu, \"batches_of_ghosts\": %llu, ", (unsigned long long)counts.repeats,
           (unsigned long long)counts.ghosts);
    printf("\"duplicates\": %lu, \"sessions\": %llu, ", (unsigned long)core.eject.duplicates,
           (unsigned long long)counts.sessions);
    print_line("to_board", &to_board);
    print_line("to_host", &to_host);
    printf("\"reasons\": [");
    for (i = 1; i <= SEL_EJECT_REASON_UNSUPPORTED; i++)
        printf("%s%llu", i > 1 ? ", " : "", (unsigned long long)counts.reasons[i]);
    printf("], \"virtual_s\": %.1f, \"cpu_s\": %.2f}\n", (double)(now - START_US) / 1e6,
           (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec);
    return 0;
}
