/* Hostile hosts against the whole controller: what must hold for every order of bytes and times. A broken law aborts.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I ../../firmware_bridge/c sel_controller_fuzz.c   libFuzzer
 *     cc -DSEL_FUZZ_MAIN -I ../../firmware_bridge/c sel_controller_fuzz.c && ./a.out 100000 7             inputs, seed
 *
 * An input is a list of steps: bytes as they are, or frames that the harness numbers, stamps with the session and gives
 * their checksum, since no mutator would get past these; times and event ids in them count from now on. A model beside
 * the controller keeps every event and every valve, from what the controller tells its observer and its host alone.
 *
 * In every other input each frame is handed over alone, so that the model knows what the controller allowed itself when
 * it came; in the rest all of a step comes at once. The program of its own begins with good sessions and mutates them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sel_controller.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define N_VALVES 32u
#define SLOTS 48u
#define TABLE 65536u /* ids of one input, power of two */
#define MAX_IDS 40000u
#define STEP_B 300u

#define LAW(holds)                                                                                                     \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds);                                        \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- the model ---- */

enum { MENTIONED = 1, JUDGED = 2, MAY_FIRE = 4, FIRED = 8, REPORTED = 16, CANCELLED = 32 };

struct id {
    int64_t evid;
    uint32_t input, fired_count, session; /* another input: the place is free */
    uint8_t flags;
};

struct valve {
    int64_t since, until; /* open in [since, until) */
    int64_t before;       /* when it last closed before that */
};

struct harness {
    struct sel_controller core;
    struct sel_settings settings;
    struct sel_io io;
    struct sel_decoder line;    /* sees what the controller sees */
    struct sel_decoder host;    /* reads its answers */
    struct valve valves[N_VALVES];
    int64_t now, heard, silent; /* when something of the session came last, when that became too long ago */
    uint32_t session, epoch, n_ids;
    uint16_t control_in, other_out;
    uint8_t is_split, last[STEP_B];
    size_t last_n;
};

static struct harness h;
static struct id ids[TABLE];
static uint32_t input_number;

/* Over all inputs: shows whether the mutator gets everywhere. */
static struct {
    unsigned long calls, sessions, frames, fired, tested, cuts, degraded, answers, full, settled;
    unsigned long reasons[SEL_EJECT_REASON_UNSUPPORTED + 1];
} seen;

static struct id *id_of(int64_t evid)
{
    uint64_t hash = (uint64_t)evid * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(hash >> 40) % TABLE;

    while (ids[at].input == input_number && ids[at].evid != evid)
        at = (at + 1) % TABLE;
    if (ids[at].input != input_number) {
        memset(&ids[at], 0, sizeof ids[at]);
        ids[at].input = input_number;
        ids[at].evid = evid;
        h.n_ids++;
    }
    return &ids[at];
}

static uint32_t limit(enum sel_config_key key)
{
    return sel_config_get(&h.core, (uint16_t)key);
}

static void open_valve(struct valve *v, int64_t from, int64_t to)
{
    if (from <= v->until && v->since < v->until) {
        LAW(from >= v->since);
        LAW(to <= v->until || to - v->since <= limit(SEL_CONFIG_KEY_MAX_PULSE_US));
        v->until = sel_max(v->until, to);
        return;
    }
    LAW(from - v->until >= limit(SEL_CONFIG_KEY_MIN_OFF_US));
    LAW(to - from <= limit(SEL_CONFIG_KEY_MAX_PULSE_US));
    v->before = v->until;
    v->since = from;
    v->until = to;
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t from, int64_t to)
{
    struct id *id = id_of(evid);
    uint16_t i;

    (void)ctx;
    LAW(h.core.state != SEL_BOARD_STATE_SAFE && h.core.state != SEL_BOARD_STATE_BOOT);
    LAW(count >= 1 && (unsigned)first_valve + count <= N_VALVES && from < to);
    for (i = 0; i < count; i++)
        open_valve(&h.valves[first_valve + i], from, to);
    if (evid == SEL_SELFTEST_EVID) {
        LAW(h.core.state == SEL_BOARD_STATE_IDLE);
        seen.tested++;
        return;
    }
    LAW(id->flags & (h.is_split ? MAY_FIRE : MENTIONED));
    LAW((id->flags & FIRED) == 0 || id->fired_count == h.core.eject.fired); /* more valves, but not another time */
    LAW((id->flags & REPORTED) == 0);
    LAW(id->session == h.session || !h.is_split);
    id->flags |= FIRED;
    id->fired_count = h.core.eject.fired;
    seen.fired++;
}

static void on_cut(void *ctx, int64_t tick)
{
    size_t i;

    (void)ctx;
    for (i = 0; i < N_VALVES; i++) {
        struct valve *v = &h.valves[i];

        if (v->until > tick && v->since >= tick)
            v->since = v->until = v->before; /* it never opened */
        v->until = sel_min(v->until, tick);
    }
    seen.cuts++;
}

static void on_report(const struct sel_eject_report *report)
{
    struct id *id = id_of(sel_unwrap(report->evid, h.core.eject.next_evid));

    LAW((id->flags & REPORTED) == 0);
    LAW((id->flags & FIRED) == 0 || sel_eject_reason_has_fired(report->reason));
    LAW(report->reason == SEL_EJECT_REASON_CANCELLED || id->flags & MENTIONED);
    LAW((id->flags & MAY_FIRE) || !h.is_split || report->reason == SEL_EJECT_REASON_NOT_ARMED ||
        report->reason == SEL_EJECT_REASON_CANCELLED);
    id->flags |= REPORTED;
    seen.reasons[report->reason]++;
}

static void on_answer(const struct sel_frame *frame)
{
    struct sel_eject_exc exc;
    uint8_t i;

    seen.answers++;
    LAW(frame->type & SEL_TO_HOST);
    LAW(sel_payload_verdict(frame->type, frame->payload, frame->payload_len) == 1);
    LAW(frame->epoch8 == (sel_delivery_of(frame->type) == SEL_DELIVERY_SESSION ? 0 : h.core.epoch8));
    if (sel_delivery_of(frame->type) != SEL_DELIVERY_CONTROL || frame->seq != h.control_in)
        return;
    h.control_in++;
    if (frame->type == SEL_TYPE_EJECT_EXC && sel_unpack_eject_exc(&exc, frame->payload, frame->payload_len))
        for (i = 0; i < exc.reports_n; i++)
            on_report(&exc.reports[i]);
}

static void on_send(void *ctx, const uint8_t *wire, size_t n)
{
    size_t i;

    (void)ctx;
    LAW(n >= SEL_MIN_BODY + 2);
    if (h.core.host_epoch != h.epoch) { /* the first words of a new session */
        h.epoch = h.core.host_epoch;
        h.session++;
        h.control_in = h.other_out = 0;
        h.heard = h.now;
        h.silent = INT64_MAX;
        seen.sessions++;
    }
    for (i = 0; i < n; i++) {
        LAW(sel_decoder_push(&h.host, wire[i]) == (i == n - 1));
        if (i == n - 1) {
            struct sel_frame frame = sel_decoder_frame(&h.host);

            on_answer(&frame);
        }
    }
}

static void check_state(void)
{
    const struct sel_eject *e = &h.core.eject;
    int64_t next = INT64_MAX;
    uint16_t i;

    seen.calls++;
    seen.degraded += h.core.state == SEL_BOARD_STATE_DEGRADED;
    seen.full += e->pending == SLOTS;
    LAW(e->pending <= SLOTS && e->reports_n + e->pending <= SEL_REPORTS);
    LAW(h.core.control.n <= SEL_CONTROL_ROOM && h.core.control.flying <= SEL_CONTROL_WINDOW);
    LAW(h.silent > h.now - SEL_DRAIN || h.core.state == SEL_BOARD_STATE_SAFE);
    LAW(h.core.state != SEL_BOARD_STATE_SAFE || (e->pending == 0 && sel_controller_feeder(&h.core) == 0));
    for (i = 0; i < N_VALVES; i++) {
        const struct valve *v = &h.valves[i];
        int is_open = v->since <= h.now && h.now < v->until;

        LAW(sel_eject_is_open(e, i, h.now) == is_open);
        LAW(!is_open || h.core.state != SEL_BOARD_STATE_SAFE);
        if (v->until > h.now)
            next = sel_min(next, is_open ? v->until : v->since);
    }
    LAW(e->pending != 0 ? sel_eject_next(e, h.now) <= next : sel_eject_next(e, h.now) == next);
}

/* ---- what happens to the controller ---- */

static void power_on(void)
{
    struct sel_io io = {NULL, on_send, NULL, NULL, NULL, NULL, {NULL, on_pulse, on_cut}};
    size_t i;

    h.io = io;
    h.settings.n_valves = N_VALVES;
    h.settings.slots = SLOTS;
    h.settings.boot_id++;
    sel_controller_init(&h.core, &h.settings, &h.io);
    sel_decoder_init(&h.line);
    sel_decoder_init(&h.host);
    for (i = 0; i < N_VALVES; i++)
        h.valves[i].since = h.valves[i].until = h.valves[i].before = SEL_NEVER;
    h.epoch = 0;
    h.silent = INT64_MAX;
}

/* Whether the controller may take events, as the protocol has it: it is armed, and its host has not been silent. */
static int may_take(void)
{
    return (h.core.state == SEL_BOARD_STATE_ARMED || h.core.state == SEL_BOARD_STATE_DEGRADED) && h.silent > h.now;
}

/* Before the controller learns of a new time: has its host been silent for too long? */
static void watch(void)
{
    int64_t limit_end = h.heard + (int64_t)limit(SEL_CONFIG_KEY_WD_MS) * 1000;

    if (h.core.epoch8 != 0 && limit_end <= h.now)
        h.silent = sel_min(h.silent, limit_end);
}

static int is_seen(int64_t evid)
{
    const struct sel_eject *e = &h.core.eject;

    return evid < e->next_evid && evid >= e->next_evid - SEL_WINDOW_EVENTS &&
           sel_eject_received(e, (uint32_t)(uint64_t)evid) & 1u;
}

/* Note the events of a frame: before the controller gets it what they may become, behind it (is_after) what it saw. */
static void note_events(const struct sel_frame *frame, int64_t base, int is_firing, int is_after)
{
    struct sel_eject_cancel cancel;
    struct sel_eject_batch batch;
    struct sel_eject_mask mask;
    uint32_t n = 0;
    int64_t evid;

    if (frame->type == SEL_TYPE_EJECT_BATCH && sel_unpack_eject_batch(&batch, frame->payload, frame->payload_len))
        n = batch.items_n;
    else if (frame->type == SEL_TYPE_EJECT_MASK && sel_unpack_eject_mask(&mask, frame->payload, frame->payload_len))
        n = mask.items_n;
    else if (frame->type == SEL_TYPE_EJECT_CANCEL &&
             sel_unpack_eject_cancel(&cancel, frame->payload, frame->payload_len))
        n = cancel.to_evid - cancel.from_evid;
    if (h.is_split && (h.core.epoch8 == 0 || frame->epoch8 != h.core.epoch8))
        n = 0;
    for (evid = base; evid < base + n; evid++) {
        struct id *id = id_of(evid);

        LAW(is_after || !h.is_split || !is_seen(evid) || id->flags & (JUDGED | CANCELLED));
        if (frame->type == SEL_TYPE_EJECT_CANCEL) {
            id->flags |= CANCELLED;
        } else if (!h.is_split) {
            id->flags |= MENTIONED;
        } else if (!is_after && (id->flags & JUDGED) == 0) { /* what a cancellation used up is no event any more */
            id->flags = (uint8_t)(id->flags & ~(MENTIONED | MAY_FIRE));
            if (!is_seen(evid))
                id->flags = (uint8_t)(id->flags | MENTIONED | (is_firing ? MAY_FIRE : 0));
        } else if (is_after && (id->flags & (MENTIONED | JUDGED)) == MENTIONED && is_seen(evid)) {
            id->flags |= JUDGED;
            id->session = h.session;
        }
    }
}

static int64_t base_of(const struct sel_frame *frame)
{
    return frame->payload_len < 4 ? 0 : sel_unwrap(sel_get_u32(frame->payload), h.core.eject.next_evid);
}

static void feed(const uint8_t *bytes, size_t n)
{
    size_t i, from = 0;

    watch();
    for (i = 0; i < n; i++) {
        struct sel_frame frame;
        int64_t base;

        if (!sel_decoder_push(&h.line, bytes[i]))
            continue;
        frame = sel_decoder_frame(&h.line);
        seen.frames++;
        if (h.is_split) /* brings it to now */
            sel_controller_feed(&h.core, bytes + from, i - from, h.now, 0);
        base = base_of(&frame);
        note_events(&frame, base, may_take(), 0);
        if ((frame.type & SEL_TO_HOST) == 0 && frame.epoch8 != 0 && frame.epoch8 == h.core.epoch8 &&
            sel_delivery_of(frame.type) > SEL_DELIVERY_SESSION)
            h.heard = h.now;
        if (h.is_split) {
            from = i + 1;
            sel_controller_feed(&h.core, bytes + i, 1, h.now, 0);
            note_events(&frame, base, 0, 1);
            check_state();
        }
    }
    sel_controller_feed(&h.core, bytes + from, n - from, h.now, 0);
    check_state();
}

static void advance(int64_t ticks)
{
    h.now += ticks;
    watch();
    sel_controller_advance(&h.core, h.now, 0);
    check_state();
}

static void say(uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload, size_t n)
{
    h.last_n = sel_encode_frame(h.last, type, epoch8, seq, payload, n);
    feed(h.last, h.last_n);
}

static void say_hello(uint32_t epoch)
{
    struct sel_hello hello = {1, 1, epoch, 250, 0};
    uint8_t payload[SEL_MAX_HELLO_B];

    say(SEL_TYPE_HELLO, 0, 1, payload, sel_pack_hello(payload, &hello));
}

static void say_beat(int is_armed)
{
    struct sel_heartbeat beat = {0, h.core.cfg_crc, 0};
    uint8_t payload[SEL_MAX_HEARTBEAT_B];

    beat.flags = is_armed ? SEL_HEARTBEAT_FLAG_ARMED_WANTED : 0;
    say(SEL_TYPE_HEARTBEAT, h.core.epoch8, 0, payload, sel_pack_heartbeat(payload, &beat));
}

static void say_ack(uint8_t credit)
{
    struct sel_ctrl_ack ack;
    uint8_t payload[SEL_MAX_CTRL_ACK_B];

    ack.next_seq = h.control_in;
    ack.credit = credit;
    say(SEL_TYPE_CTRL_ACK, h.core.epoch8, 0, payload, sel_pack_ctrl_ack(payload, &ack));
}

/* ---- steps ---- */

struct input {
    const uint8_t *bytes;
    size_t n, at;
};

static uint8_t take(struct input *in)
{
    return in->at < in->n ? in->bytes[in->at++] : 0;
}

static size_t take_bytes(struct input *in, uint8_t *out, size_t n)
{
    size_t left = in->n - in->at;

    n = n < left ? n : left;
    memcpy(out, in->bytes + in->at, n);
    in->at += n;
    return n;
}

/* Ids and ticks near those of now: a far jump of ids would let their 32 bits come again, which is no double fire. None
 * is below 0, the first id of all: the observer knows a self-test by -1. */
static void relate(uint8_t type, uint8_t *payload, size_t n)
{
    int64_t back = n >= 4 && (payload[3] & 3u) == 0 ? sel_get_u16(payload) % 4096 - 64 : 0;
    uint32_t ahead = n >= 8 ? sel_get_u16(payload + 4) : 0;

    if (n >= 8 && type >= SEL_TYPE_EJECT_BATCH && type <= SEL_TYPE_EJECT_CANCEL) {
        sel_put_u32(payload, (uint32_t)(uint64_t)sel_max(h.core.eject.next_evid - back, 0));
        if (type == SEL_TYPE_EJECT_CANCEL)
            sel_put_u32(payload + 4, sel_get_u32(payload) + 1 + ahead % (ahead & 0x8000u ? 1024u : 40u));
        else
            sel_put_u32(payload + 4, (uint32_t)(uint64_t)h.now + ahead - (payload[7] & 3u ? 0 : 2000u));
    }
}

static void step_frame(struct input *in, int is_odd)
{
    uint8_t type = take(in), epoch8 = h.core.epoch8, payload[256];
    size_t n = take_bytes(in, payload, take(in));
    uint16_t seq = sel_delivery_of(type) == SEL_DELIVERY_CONTROL ? h.core.control.next_seq_in : h.other_out++;

    if (is_odd) {
        epoch8 = take(in);
        seq = (uint16_t)(seq + take(in));
    }
    relate(type, payload, n);
    say(type, epoch8, seq, payload, n);
}

static void step_control(struct input *in)
{
    static const uint8_t TYPES[] = {SEL_TYPE_SET_STATE, SEL_TYPE_SET_STATE, SEL_TYPE_CFG_SET,  SEL_TYPE_CFG_SET,
                                    SEL_TYPE_SELFTEST,  SEL_TYPE_SELFTEST,  SEL_TYPE_FEEDER_SET, SEL_TYPE_DICT_READ};
    uint8_t type = TYPES[take(in) % sizeof TYPES], payload[8] = {0};

    payload[0] = take(in);
    switch (type) {
    case SEL_TYPE_SET_STATE:
        payload[0] = (uint8_t)(payload[0] % 16 == 1 ? 1 : payload[0] % 8 == 2 ? 2 : 3);
        say(type, h.core.epoch8, h.core.control.next_seq_in, payload, 2);
        break;
    case SEL_TYPE_CFG_SET: { /* limits that bite */
        static const uint32_t VALUES[][4] = {{0, 0, 0, 0},           {2000, 20000, 1000, 5000}, {500, 0, 3000, 500},
                                             {150, 10000, 0, 150},   {2000000, 10000, 1, 1},    {250, 20, 5000, 250},
                                             {4096, 4, 8, 4096},     {1000, 5, 100, 1000}};
        uint8_t key = payload[0] % 8;

        sel_put_u16(payload, key);
        sel_put_u32(payload + 2, VALUES[key][take(in) % 4]);
        say(type, h.core.epoch8, h.core.control.next_seq_in, payload, 6);
        break;
    }
    case SEL_TYPE_SELFTEST:
        payload[0] %= N_VALVES;
        payload[2] = (uint8_t)(payload[0] + take(in) % 4);
        sel_put_u16(payload + 4, (uint16_t)(1 + 16 * take(in)));
        payload[6] = 1;
        say(type, h.core.epoch8, h.core.control.next_seq_in, payload, 7);
        break;
    default:
        payload[2] = type == SEL_TYPE_DICT_READ ? 100 : 0;
        say(type, h.core.epoch8, h.core.control.next_seq_in, payload, type == SEL_TYPE_DICT_READ ? 3 : 2);
    }
}

static void step_batch(struct input *in, uint8_t type, int chain)
{
    size_t item_b = type == SEL_TYPE_EJECT_BATCH ? 6 : 10, i;
    uint8_t payload[SEL_MAX_EJECT_BATCH_B] = {0};

    take_bytes(in, payload, 10);
    payload[8] = (uint8_t)(1 + payload[8] % (type == SEL_TYPE_EJECT_BATCH ? 39 : 23));
    payload[9] &= (uint8_t)(take(in) % 16 == 0 ? 7 : 6); /* encoder counts now and then */
    for (i = 0; i < payload[8]; i++) {
        uint8_t *item = payload + 10 + item_b * i;

        take_bytes(in, item, item_b);
        item[1] %= 16;
        item[3] = (uint8_t)(type == SEL_TYPE_EJECT_BATCH ? item[3] % 64 & ~15 : 0); /* 1 to 4 valves */
        item[2] %= 34;
        item[item_b - 1] %= 32;
        item[item_b - 2] |= 1;
        item[4] |= 1;
        if (chain != 0 && i > 0) { /* on the same valves, at the end of the one before or a little later */
            sel_put_u16(item, (uint16_t)(sel_get_u16(item - item_b) + sel_get_u16(item - 2) + (chain & 32 ? 100 : 0)));
            memcpy(item + 2, item + 2 - item_b, item_b - 4);
        }
    }
    relate(type, payload, sizeof payload);
    say(type, h.core.epoch8, h.other_out++, payload, 10 + item_b * payload[8]);
}

static void step(struct input *in)
{
    static const int32_t TICKS[] = {0,    1,    50,   200,  500,   1000,  1000,   2000,
                                    3000, 5000, 8000, 20000, 60000, 110000, 260000, 1100000};
    uint8_t bytes[256], op = take(in);
    size_t n;

    switch (op % 16) {
    case 0:
        n = take_bytes(in, bytes, take(in));
        feed(bytes, n);
        break;
    case 1:
        step_frame(in, op & 16);
        break;
    case 2:
    case 3:
    case 4:
        step_batch(in, SEL_TYPE_EJECT_BATCH, op & 0x30);
        break;
    case 5:
        step_batch(in, SEL_TYPE_EJECT_MASK, op & 0x30);
        break;
    case 6:
    case 7:
        step_control(in);
        break;
    case 8:
    case 9:
        say_beat((op & 0xF0) != 0);
        break;
    case 10:
        say_ack((uint8_t)(op >> 4));
        break;
    case 11:
        if (op & 0x70) { /* what came last comes again */
            memcpy(bytes, h.last, sizeof bytes);
            feed(bytes, h.last_n < sizeof bytes ? h.last_n : sizeof bytes);
        } else {
            say_hello(1u + (op >> 7) + 256u * take(in));
        }
        break;
    case 12:
        if (op == 0xFC) {
            sel_controller_power_off(&h.core, h.now, 0);
            input_number++; /* forget all ids, and what a bit of the line was */
            power_on();
            h.now = 0;
        } else if (op == 0xEC) {
            sel_controller_trigger(&h.core, 7, h.now, 0, 0);
        } else {
            bytes[0] = take(in);
            memset(bytes + 1, bytes[0], 7);
            relate(SEL_TYPE_EJECT_CANCEL, bytes, 8);
            say(SEL_TYPE_EJECT_CANCEL, h.core.epoch8, h.other_out++, bytes, 8);
        }
        break;
    default:
        advance(TICKS[op >> 4]);
    }
}

/* A good host takes every report; then each event of the session has fired, has a report, or waits. */
static void settle(void)
{
    struct sel_eject *e = &h.core.eject;
    unsigned rounds = 0;
    size_t i;

    if (h.core.epoch8 == 0)
        return;
    do {
        say_ack(8);
        advance(5000);
        LAW(++rounds < 1000);
    } while (h.core.control.n != 0 || e->reports_n != 0);
    if (!h.is_split)
        return;
    for (i = 0; i < e->pending; i++) {
        struct id *id = id_of(e->queue[i].evid);

        LAW((id->flags & (JUDGED | FIRED | REPORTED)) == JUDGED);
        id->flags |= FIRED; /* will do */
    }
    for (i = 0; i < TABLE; i++) {
        if (ids[i].input == input_number && ids[i].flags & JUDGED && ids[i].session == h.session) {
            LAW(ids[i].flags & (FIRED | REPORTED));
            seen.settled++;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n, 0};
    uint8_t how = take(&in);

    memset(&h, 0, sizeof h);
    input_number++;
    h.is_split = how & 1u;
    power_on();
    if (how & 2u) { /* ids and ticks are about to wrap */
        h.core.eject.next_evid = ((int64_t)1 << 32) - 100;
        h.now = ((int64_t)1 << 32) - 300000;
        advance(0);
    }
    while (in.at < in.n && h.n_ids < MAX_IDS)
        step(&in);
    settle();
    return 0;
}

#ifdef SEL_FUZZ_MAIN

#define POOL 64
#define INPUT_B 2000

struct story {
    uint8_t bytes[INPUT_B];
    size_t n;
};

static uint64_t state;

static size_t below(size_t end)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u; /* splitmix64 (Steele, Lea, Flood 2014) */

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (size_t)((z ^ z >> 31) % end);
}

static void add(struct story *s, size_t byte)
{
    if (s->n < INPUT_B)
        s->bytes[s->n++] = (uint8_t)byte;
}

static void add_all(struct story *s, const uint8_t *bytes, size_t n)
{
    while (n-- > 0)
        add(s, *bytes++);
}

/* A batch whose ids follow the last one, or not quite; on one valve after another or all on one. */
static void add_events(struct story *s, size_t op, size_t ahead, size_t n, size_t valve)
{
    const uint8_t head[] = {(uint8_t)below(200), 0, 0, below(5) != 0, (uint8_t)ahead, (uint8_t)(ahead >> 8), 0, 1};
    size_t i;

    add(s, op);
    add_all(s, head, sizeof head);
    add(s, n - 1);
    add(s, 4 * below(2));
    add(s, 1);
    for (i = 0; i < n; i++) { /* dt, valves, pulse */
        const uint8_t item[] = {(uint8_t)(i ? below(256) : 0), (uint8_t)(i ? below(10) : 0),
                                (uint8_t)(valve < N_VALVES ? valve : below(34)), (uint8_t)below(64),
                                (uint8_t)below(256), (uint8_t)(below(4) ? below(12) : below(256))};

        add_all(s, item, sizeof item);
    }
}

static void add_batch(struct story *s)
{
    size_t op = 2 + 16 * (below(4) ? 0 : below(4)), ahead = below(8) ? 500 + below(9000) : 0;

    add_events(s, op, ahead, 1 + below(below(4) ? 6 : 39), N_VALVES);
}

/* More than there is room for: reports, and orders that must be answered. */
static void add_crowd(struct story *s)
{
    size_t n;

    for (n = 2 + below(4); n > 0; n--)
        add_all(s, (const uint8_t[]){0x0C, 0xFF}, 2);
    for (n = 12 + below(12); n > 0; n--)
        add_all(s, (const uint8_t[]){7, 7, (uint8_t)below(256)}, 3);
}

/* All stops, perhaps while a valve waits for the end of its pause, and the next host is armed in the same instant. */
static void add_restart(struct story *s)
{
    size_t valve = below(4);

    add_all(s, (const uint8_t[]){7, 2, 2, 2, 0x18}, 5); /* MIN_OFF_US 3000 */
    add_events(s, 0x32, 100, 2 + below(3), valve);
    add(s, 13 + 16 * (3 + below(6)));
    add_all(s, (const uint8_t[]){6, 0, 1, (uint8_t)(0x0B + 0x80 * below(2)), (uint8_t)below(256), 6, 0, 3, 0x18}, 9);
    add_events(s, 2, 0, 1 + below(3), valve);
}

/* A host that is silent for longer than it said comes back while events still wait. */
static void add_silence(struct story *s)
{
    add_all(s, (const uint8_t[]){7, 2, 5, 1, 0x18}, 5); /* WD_MS 20 */
    add_events(s, 2, 60000, 1 + below(9), N_VALVES);
    add_all(s, (const uint8_t[]){13 + 16 * 11, 13 + 16 * 8, 13 + 16 * 5}, 3);
    add_events(s, 2, 1000, 1 + below(9), N_VALVES);
}

/* A session as it should be: opened, armed, events, heartbeats and acknowledgements, time going by. */
static void add_session(struct story *s)
{
    size_t rounds = 3 + below(20), is_slow = below(8) == 0; /* then it lasts long enough to be judged late */

    add_all(s, (const uint8_t[]){(uint8_t)(0x0B + 0x80 * below(2)), (uint8_t)below(256), 6, 0, 3, 0x18, 0x1D}, 7);
    while (rounds-- > 0) {
        if (below(3) != 0)
            add_batch(s);
        if (below(40) == 0)
            add_crowd(s);
        if (below(20) == 0)
            add_restart(s);
        if (below(40) == 0)
            add_silence(s);
        if (below(12) == 0)
            add_all(s, (const uint8_t[]){7, (uint8_t)(2 + below(6)), (uint8_t)below(256), (uint8_t)below(256)}, 4);
        add_all(s, (const uint8_t[]){(uint8_t)(13 + 16 * (is_slow ? 13 : below(below(8) ? 12 : 16))), 0x18, 0x8A}, 3);
    }
}

static void mutate(struct story *s, const struct story *other)
{
    size_t at = below(s->n), n = 1 + below(below(4) ? 4 : 40), from = below(other->n);

    n = n < s->n - at ? n : s->n - at;
    switch (below(6)) {
    case 0:
        s->bytes[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        s->bytes[at] = (uint8_t)below(256);
        break;
    case 2: /* delete, but never all */
        n = n < s->n ? n : s->n - 1;
        memmove(s->bytes + at, s->bytes + at + n, s->n - at - n);
        s->n -= n;
        break;
    case 3: /* insert a step of any kind */
        n = n < INPUT_B - s->n ? n : INPUT_B - s->n;
        memmove(s->bytes + at + n, s->bytes + at, s->n - at);
        s->n += n;
        while (n-- > 0)
            s->bytes[at + n] = (uint8_t)below(256);
        break;
    case 4: /* splice */
        s->n = at + 1;
        add_all(s, other->bytes + from, other->n - from);
        break;
    default: /* again */
        n = n < INPUT_B - s->n ? n : INPUT_B - s->n;
        memmove(s->bytes + at + n, s->bytes + at, s->n - at);
        s->n += n;
    }
}

int main(int argc, char **argv)
{
    static struct story pool[POOL];
    long i, inputs = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
    struct story story;
    size_t changes, reason;

    state = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    for (i = 0; i < inputs; i++) {
        struct story *place = &pool[below(POOL)];

        if (place->n == 0 || below(8) == 0) {
            place->n = 0;
            add(place, below(256));
            for (changes = 1 + below(4); changes > 0; changes--)
                add_session(place);
        }
        story = *place;
        for (changes = below(6); changes > 0; changes--) {
            const struct story *other = &pool[below(POOL)];

            mutate(&story, other->n != 0 ? other : place);
        }
        LLVMFuzzerTestOneInput(story.bytes, story.n);
        if (below(4) == 0)
            *place = story;
    }
    LLVMFuzzerTestOneInput(NULL, 0);
    printf("{\"inputs\": %ld, \"calls\": %lu, \"frames\": %lu, \"sessions\": %lu, ", inputs, seen.calls, seen.frames,
           seen.sessions);
    printf("\"fired\": %lu, \"tested\": %lu, \"cuts\": %lu, \"degraded\": %lu, ", seen.fired, seen.tested, seen.cuts,
           seen.degraded);
    printf("\"full\": %lu, \"answers\": %lu, \"settled\": %lu, \"reasons\": [", seen.full, seen.answers, seen.settled);
    for (reason = 1; reason <= SEL_EJECT_REASON_UNSUPPORTED; reason++)
        printf("%s%lu", reason > 1 ? ", " : "", seen.reasons[reason]);
    printf("]}\n");
    return 0;
}

#endif
