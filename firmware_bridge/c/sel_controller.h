/* A whole ejector controller: sessions, states, watchdog, configuration, self-test; bytes in, bytes out.
 *
 * It must not know ports, timers or pins: the caller brings bytes and the time, and gets bytes and pulses through the
 * functions of struct sel_io. Ticks are microseconds since power on; time must not go back. One call at a time.
 * virtual_board.py, board_states.py and board_selftest.py are the same in Python: equal input gives equal output.
 *
 *     sel_controller_init(&controller, &settings, &io);
 *     for (;;) {
 *         n = read_port(bytes);                                        (as often as bytes come)
 *         sel_controller_feed(&controller, bytes, n, now, encoder);
 *         sel_controller_advance(&controller, now, encoder);           (at least every millisecond, and at
 *     }                                                                 sel_eject_next() for the valves' sake)
 */
#ifndef SEL_CONTROLLER_H
#define SEL_CONTROLLER_H

#include "sel_bulk.h"
#include "sel_control.h"
#include "sel_dict.h"
#include "sel_eject.h"

#define SEL_RX_WINDOW 4096     /* bytes that the caller can hold between two calls of feed */
#define SEL_DRAIN 100000       /* ticks that accepted events still fire after the host fell silent */
#define SEL_STATUS_PERIOD 100000
#define SEL_SELFTEST_REST 10000 /* a valve and its air supply come to rest before the next one */
#define SEL_MAX_ERRORS 8       /* refused frames that are told about at a time */
#define SEL_MAX_BULK_ANSWERS 8 /* that wait at a time; the sender asks again for what is left out */
#define SEL_NO_TICK INT64_MIN

/* What the controller needs from its surroundings. */
struct sel_io {
    void *ctx;
    void (*send)(void *ctx, const uint8_t *wire, size_t n);
    /* The self-test's sensing of one valve; null where there is none. */
    void (*measure)(void *ctx, uint16_t valve, uint16_t *coil_ma, uint16_t *open_us);
    /* The next verdict for the host: 1 and *out, or 0; null where no inspection is connected. Those that wait when a
     * session begins are taken and forgotten: they speak of objects of a host that is gone. */
    int (*next_verdict)(void *ctx, struct sel_verdict *out);
    /* Where a transfer's bytes go; null where none is taken. `transfer` is told when one has arrived well. */
    const struct sel_bulk_store *store;
    void (*transfer)(void *ctx, const struct sel_bulk *bulk);
    struct sel_observer observer;
};

struct sel_settings {
    uint16_t n_valves, slots; /* at most SEL_VALVES and SEL_SLOTS */
    uint32_t boot_id;         /* differs after each start */
    uint8_t uid[12];
    uint8_t fw_major, fw_minor, fw_patch;
    uint32_t fw_git;
};

struct sel_controller {
    struct sel_io io;
    struct sel_settings settings;
    struct sel_decoder decoder;
    struct sel_control control;
    struct sel_eject eject;
    struct sel_bulk bulk;
    struct sel_bulk_reply bulk_answers[SEL_MAX_BULK_ANSWERS];
    uint8_t n_bulk_answers;
    int64_t now, last_heard, drain_end, status_due, announce_due;
    uint32_t enc, faults, cfg_crc, host_epoch, past_epoch;
    uint32_t config[SEL_CONFIG_COUNT]; /* in the order of SEL_CONFIG */
    uint16_t cancelled, seq_eject, seq_telemetry, seq_bulk, feeder_permille;
    uint8_t epoch8, has_host, has_past, state, has_changed, has_permit, is_latched, wants_armed;

    struct sel_fault new_faults[8]; /* each code once a session */
    uint8_t n_new_faults;
    struct sel_error errors[SEL_MAX_ERRORS];
    uint8_t n_errors;

    struct sel_selftest test;
    uint16_t test_valve, test_refused_valve;
    int64_t test_due;
    uint8_t is_testing, has_opened, is_test_refused;
};

/* ---- configuration ---- */

static inline uint32_t sel_config_get(const struct sel_controller *c, uint16_t key)
{
    uint16_t i;

    for (i = 0; i < SEL_CONFIG_COUNT; i++)
        if (SEL_CONFIG[i].key == key)
            return c->config[i];
    return 0; /* as an unknown key is answered */
}

/* Set a key; a value out of range and an unknown key change nothing. */
static inline void sel_config_store(struct sel_controller *c, uint16_t key, uint32_t value)
{
    uint16_t i;

    c->cfg_crc = 0;
    for (i = 0; i < SEL_CONFIG_COUNT; i++) {
        const struct sel_config_row *row = &SEL_CONFIG[i];
        uint8_t bytes[6];

        if (row->key == key && row->low <= value && value <= row->high)
            c->config[i] = value;
        sel_put_u16(bytes, row->key);
        sel_put_u32(bytes + 2, c->config[i]);
        c->cfg_crc = sel_crc32(c->cfg_crc, bytes, sizeof bytes);
    }
    c->eject.limits.max_pulse = sel_config_get(c, SEL_CONFIG_KEY_MAX_PULSE_US);
    c->eject.limits.min_off = sel_config_get(c, SEL_CONFIG_KEY_MIN_OFF_US);
    c->eject.limits.late_tol = sel_config_get(c, SEL_CONFIG_KEY_LATE_TOL_US);
    c->eject.limits.horizon = sel_config_get(c, SEL_CONFIG_KEY_HORIZON_US);
    c->eject.limits.max_open = sel_config_get(c, SEL_CONFIG_KEY_MAX_OPEN_VALVES);
    c->eject.limits.max_duty = sel_config_get(c, SEL_CONFIG_KEY_MAX_DUTY_PERMILLE);
}

/* ---- life ---- */

/* Power on. The state is BOOT until the first feed or advance. */
static inline void sel_controller_init(struct sel_controller *c, const struct sel_settings *settings,
                                       const struct sel_io *io)
{
    uint16_t i;

    memset(c, 0, sizeof *c);
    c->io = *io;
    c->settings = *settings;
    c->drain_end = SEL_NO_TICK;
    c->has_permit = 1;
    sel_decoder_init(&c->decoder);
    sel_control_init(&c->control);
    sel_eject_init(&c->eject, settings->n_valves, settings->slots, io->observer);
    if (io->store != NULL)
        sel_bulk_init(&c->bulk, io->store);
    for (i = 0; i < SEL_CONFIG_COUNT; i++)
        c->config[i] = SEL_CONFIG[i].initial;
    sel_config_store(c, 0, 0);
}

/* The rate the feeder runs at: 0 while its permit is withdrawn. */
static inline uint16_t sel_controller_feeder(const struct sel_controller *c)
{
    return c->has_permit ? c->feeder_permille : (uint16_t)0;
}

static inline int sel_is_firing(const struct sel_controller *c)
{
    return (c->state == SEL_BOARD_STATE_ARMED || c->state == SEL_BOARD_STATE_DEGRADED) && c->drain_end == SEL_NO_TICK;
}

static inline void sel_change_state(struct sel_controller *c, uint8_t state)
{
    if (state != c->state) {
        c->state = state;
        c->has_changed = 1;
    }
}

static inline void sel_raise_fault(struct sel_controller *c, uint16_t code, int64_t tick, uint32_t arg)
{
    struct sel_fault *fault = &c->new_faults[c->n_new_faults];

    if (c->faults >> code & 1u)
        return;
    c->faults |= (uint32_t)1 << code;
    fault->code = code;
    fault->sub = 0;
    fault->tick = (uint32_t)(uint64_t)tick;
    fault->arg = arg;
    c->n_new_faults++;
    c->has_changed = 1;
}

/* Fire what is due until `tick`, then close every valve and stay so until a new session. */
static inline void sel_enter_safe(struct sel_controller *c, int64_t tick)
{
    sel_eject_stop(&c->eject, tick);
    c->drain_end = SEL_NO_TICK;
    c->feeder_permille = 0;
    c->is_latched = 1;
    c->wants_armed = 0;
    sel_change_state(c, SEL_BOARD_STATE_SAFE);
}

/* Do what time alone causes, in the order it falls due. */
static inline void sel_run_to(struct sel_controller *c, int64_t now, uint32_t enc)
{
    int64_t silent = c->last_heard + (int64_t)sel_config_get(c, SEL_CONFIG_KEY_WD_MS) * 1000;

    c->now = sel_max(c->now, now);
    c->enc = enc;
    if (c->state == SEL_BOARD_STATE_BOOT)
        c->state = SEL_BOARD_STATE_SAFE;
    if (c->state != SEL_BOARD_STATE_SAFE && c->drain_end == SEL_NO_TICK && silent <= c->now) {
        sel_eject_run(&c->eject, silent);
        c->feeder_permille = 0;
        c->is_latched = 1;
        c->drain_end = silent + SEL_DRAIN;
        sel_raise_fault(c, SEL_FAULT_CODE_HOST_SILENT, silent, 0);
    }
    if (c->drain_end != SEL_NO_TICK && (sel_eject_is_quiet(&c->eject) || c->drain_end <= c->now))
        sel_enter_safe(c, sel_min(c->drain_end, c->now));
    sel_eject_run(&c->eject, c->now);
}

/* Draw the consequences of a full queue at once, and of lateness once a second. */
static inline void sel_judge(struct sel_controller *c)
{
    enum sel_rate rate = sel_eject_judge(&c->eject, c->now);

    if (c->eject.has_overrun) {
        c->eject.has_overrun = 0;
        sel_raise_fault(c, SEL_FAULT_CODE_QUEUE_OVERRUN, c->now, 0);
    }
    if (rate == SEL_RATE_GOOD) {
        c->has_permit = 1;
        if (c->state == SEL_BOARD_STATE_DEGRADED)
            sel_change_state(c, SEL_BOARD_STATE_ARMED);
    } else if (rate != SEL_RATE_UNDECIDED) {
        c->has_permit = rate == SEL_RATE_POOR;
        if (c->state == SEL_BOARD_STATE_ARMED)
            sel_change_state(c, SEL_BOARD_STATE_DEGRADED);
        sel_raise_fault(c, SEL_FAULT_CODE_LATE_RATE, c->now, 0);
    }
}

/* ---- sending ---- */

static inline void sel_send(struct sel_controller *c, uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload,
                            size_t n)
{
    uint8_t wire[SEL_MAX_WIRE];

    c->io.send(c->io.ctx, wire, sel_encode_frame(wire, type, epoch8, seq, payload, n));
}

static inline void sel_send_ident(struct sel_controller *c, uint16_t token)
{
    struct sel_ident ident;
    uint8_t payload[64];

    memset(&ident, 0, sizeof ident);
    ident.proto = SEL_PROTOCOL_VERSION;
    ident.boot_id = c->settings.boot_id;
    memcpy(ident.uid, c->settings.uid, sizeof ident.uid);
    ident.fw_major = c->settings.fw_major;
    ident.fw_minor = c->settings.fw_minor;
    ident.fw_patch = c->settings.fw_patch;
    ident.fw_git = c->settings.fw_git;
    ident.tick_hz = SEL_SECOND;
    ident.n_valves = c->settings.n_valves;
    ident.slots = c->settings.slots;
    ident.rx_window = SEL_RX_WINDOW;
    ident.max_body = SEL_MAX_BODY;
    ident.max_pulse_us = (uint16_t)c->eject.limits.max_pulse;
    ident.min_off_us = (uint16_t)c->eject.limits.min_off;
    ident.caps = SEL_CAPABILITY_FLAG_SELFTEST | (c->io.store != NULL ? SEL_CAPABILITY_FLAG_BULK : 0u);
    ident.dict_crc = SEL_DICTIONARY_CRC;
    ident.cfg_crc = c->cfg_crc;
    ident.state = c->state;
    ident.pending = c->cancelled;
    ident.next_evid = (uint32_t)(uint64_t)c->eject.next_evid;
    sel_send(c, SEL_TYPE_IDENT, 0, token, payload, sel_pack_ident(payload, &ident));
}

static inline void sel_send_eject_ack(struct sel_controller *c, uint32_t base_evid, uint16_t seq)
{
    struct sel_eject_ack ack;
    uint8_t payload[20];

    ack.base_evid = base_evid;
    ack.received = sel_eject_received(&c->eject, base_evid);
    ack.free_slots = (uint16_t)(c->eject.slots - c->eject.pending);
    ack.seq_echo = seq;
    ack.tick = (uint32_t)(uint64_t)c->now;
    sel_send(c, SEL_TYPE_EJECT_ACK, c->epoch8, c->seq_eject++, payload, sel_pack_eject_ack(payload, &ack));
}

static inline void sel_send_status(struct sel_controller *c)
{
    const struct sel_counters *frames = &c->decoder.counters;
    struct sel_status status;
    uint8_t payload[48];

    c->status_due = c->now + SEL_STATUS_PERIOD;
    c->has_changed = 0;
    memset(&status, 0, sizeof status);
    status.tick = (uint64_t)c->now;
    status.enc = c->enc;
    status.state = c->state;
    status.faults = c->faults;
    status.pending = c->eject.pending;
    status.free = (uint16_t)(c->eject.slots - c->eject.pending);
    status.fired = c->eject.fired;
    status.late = (uint16_t)c->eject.late;
    status.dup = (uint16_t)c->eject.duplicates;
    status.crc_err = (uint16_t)frames->crc_err;
    status.cobs_err = (uint16_t)frames->cobs_err;
    status.len_err = (uint16_t)(frames->len_err + frames->overflow);
    status.q_hwm = c->eject.queue_high;
    status.air_kpa = 600;
    status.supply_mv = 24000;
    status.temp_c = 25;
    status.cfg_crc = c->cfg_crc;
    sel_send(c, SEL_TYPE_STATUS, c->epoch8, c->seq_telemetry++, payload, sel_pack_status(payload, &status));
}

/* ---- self-test ---- */

static inline void sel_start_selftest(struct sel_controller *c, const struct sel_selftest *wish)
{
    int is_allowed = c->state == SEL_BOARD_STATE_IDLE && sel_controller_feeder(c) == 0 && !c->is_testing &&
                     wish->last_valve < c->settings.n_valves && wish->pulse_us <= c->eject.limits.max_pulse;

    if (!is_allowed) {
        c->is_test_refused = 1;
        c->test_refused_valve = wish->first_valve;
        return;
    }
    c->test = *wish;
    c->test_valve = wish->first_valve;
    c->is_testing = 1;
    c->has_opened = 0;
    c->test_due = c->now + wish->pulse_us + SEL_SELFTEST_REST;
}

/* The answer that is due, if any. */
static inline int sel_take_selftest(struct sel_controller *c, struct sel_selftest_res *out)
{
    memset(out, 0, sizeof *out);
    if (c->is_test_refused) {
        c->is_test_refused = 0;
        out->valve = c->test_refused_valve;
        out->flags = SEL_SELFTEST_FLAG_REFUSED | SEL_SELFTEST_FLAG_LAST;
        return 1;
    }
    if (!c->is_testing || c->now < c->test_due)
        return 0;
    out->valve = c->test_valve;
    if (c->io.measure != NULL)
        c->io.measure(c->io.ctx, c->test_valve, &out->coil_ma, &out->open_us);
    else
        out->flags = SEL_SELFTEST_FLAG_NO_SENSE;
    if (c->test.mode != SEL_SELFTEST_MODE_FIRE)
        out->open_us = 0;
    if (c->test_valve == c->test.last_valve) {
        out->flags |= SEL_SELFTEST_FLAG_LAST;
        c->is_testing = 0;
    }
    c->test_valve++;
    c->has_opened = 0;
    c->test_due = c->now + c->test.pulse_us + SEL_SELFTEST_REST;
    return 1;
}

/* ---- what the control class has to say ---- */

/* Queue the most important message that waits; 0 when none does. */
static inline int sel_push_next(struct sel_controller *c)
{
    struct sel_eject_exc exc;
    struct sel_selftest_res answer;
    struct sel_verdict verdict;

    if (c->n_new_faults != 0) {
        sel_pack_fault(sel_control_push(&c->control, SEL_TYPE_FAULT, 12), &c->new_faults[0]);
        c->n_new_faults--;
        memmove(c->new_faults, c->new_faults + 1, c->n_new_faults * sizeof c->new_faults[0]);
        return 1;
    }
    exc.reports_n = sel_eject_take_reports(&c->eject, exc.reports, SEL_MAX_REPORTS_PER_FRAME);
    if (exc.reports_n != 0) {
        sel_pack_eject_exc(sel_control_push(&c->control, SEL_TYPE_EJECT_EXC, 1u + 7u * exc.reports_n), &exc);
        return 1;
    }
    if (sel_take_selftest(c, &answer)) {
        sel_pack_selftest_res(sel_control_push(&c->control, SEL_TYPE_SELFTEST_RES, 7), &answer);
        return 1;
    }
    if (c->io.next_verdict != NULL && c->io.next_verdict(c->io.ctx, &verdict)) {
        sel_pack_verdict(sel_control_push(&c->control, SEL_TYPE_VERDICT | SEL_TO_HOST, 12), &verdict);
        return 1;
    }
    return 0;
}

static inline void sel_send_acks(struct sel_controller *c)
{
    uint8_t room = sel_control_room(&c->control), i;
    uint8_t payload[4];

    if (c->control.is_ack_due) {
        struct sel_ctrl_ack ack;

        ack.next_seq = c->control.next_seq_in;
        ack.credit = room < SEL_CONTROL_WINDOW ? room : SEL_CONTROL_WINDOW;
        c->control.is_ack_due = 0;
        sel_send(c, SEL_TYPE_CTRL_ACK | SEL_TO_HOST, c->epoch8, c->seq_telemetry++, payload,
                 sel_pack_ctrl_ack(payload, &ack));
    }
    for (i = 0; i < c->n_errors; i++)
        sel_send(c, SEL_TYPE_ERROR | SEL_TO_HOST, c->epoch8, c->seq_telemetry++, payload,
                 sel_pack_error(payload, &c->errors[i]));
    c->n_errors = 0;
}

static inline void sel_send_bulk_answers(struct sel_controller *c)
{
    uint8_t payload[SEL_MAX_XFER_DONE_B], i;

    for (i = 0; i < c->n_bulk_answers; i++) {
        const struct sel_bulk_reply *reply = &c->bulk_answers[i];

        if (reply->kind == SEL_BULK_REPLY_ACK)
            sel_send(c, SEL_TYPE_XFER_ACK | SEL_TO_HOST, c->epoch8, c->seq_bulk++, payload,
                     sel_pack_xfer_ack(payload, &reply->ack));
        else
            sel_send(c, SEL_TYPE_XFER_DONE | SEL_TO_HOST, c->epoch8, c->seq_bulk++, payload,
                     sel_pack_xfer_done(payload, &reply->done));
    }
    c->n_bulk_answers = 0;
}

static inline void sel_flush(struct sel_controller *c)
{
    uint8_t at, end;

    if (c->epoch8 == 0)
        return;
    if (c->is_testing && c->state != SEL_BOARD_STATE_IDLE) {
        c->is_testing = 0;
        c->is_test_refused = 1;
        c->test_refused_valve = c->test_valve;
    }
    while (c->control.n < SEL_CONTROL_WINDOW && sel_push_next(c))
        ;
    if (c->is_testing && !c->has_opened) {
        c->has_opened = 1;
        if (c->test.mode == SEL_SELFTEST_MODE_FIRE)
            sel_open(&c->eject, SEL_SELFTEST_EVID, c->now, c->test_valve, 1, c->test.pulse_us);
    }
    sel_send_acks(c);
    sel_control_due(&c->control, c->now * 1000, &at, &end);
    for (; at < end; at++) {
        const struct sel_control_item *item = sel_control_item(&c->control, at);

        sel_send(c, item->type, c->epoch8, item->seq, item->payload, item->n);
    }
    sel_send_bulk_answers(c);
}

/* ---- receiving ---- */

static inline void sel_start_session(struct sel_controller *c, const struct sel_hello *hello)
{
    struct sel_verdict forgotten;

    while (c->io.next_verdict != NULL && c->io.next_verdict(c->io.ctx, &forgotten))
        ;
    c->past_epoch = c->host_epoch;
    c->has_past = c->has_host;
    c->host_epoch = hello->host_epoch;
    c->has_host = 1;
    c->epoch8 = (uint8_t)(hello->host_epoch & 0xFFu);
    c->cancelled = sel_eject_start_session(&c->eject, c->now);
    c->is_testing = c->is_test_refused = 0;
    c->drain_end = SEL_NO_TICK;
    c->faults = 0;
    c->n_new_faults = c->n_errors = 0;
    c->feeder_permille = 0;
    c->is_latched = c->wants_armed = 0;
    c->has_permit = 1;
    c->seq_eject = c->seq_telemetry = c->seq_bulk = 0;
    c->n_bulk_answers = 0;
    sel_bulk_end_session(&c->bulk);
    sel_control_init(&c->control);
    sel_change_state(c, SEL_BOARD_STATE_IDLE);
    sel_config_store(c, SEL_CONFIG_KEY_WD_MS, hello->wd_ms);
}

static inline void sel_on_hello(struct sel_controller *c, const struct sel_hello *hello, uint16_t token)
{
    int has_common = hello->proto_min <= SEL_PROTOCOL_VERSION && SEL_PROTOCOL_VERSION <= hello->proto_max;
    int is_known = (c->has_host && hello->host_epoch == c->host_epoch) ||
                   (c->has_past && hello->host_epoch == c->past_epoch);

    if (has_common && !is_known)
        sel_start_session(c, hello);
    if (has_common && hello->host_epoch == c->host_epoch)
        c->last_heard = c->now;
    if (!has_common || hello->host_epoch == c->host_epoch)
        sel_send_ident(c, token);
}

static inline void sel_on_heartbeat(struct sel_controller *c, const struct sel_heartbeat *beat)
{
    int is_wanted = c->wants_armed && beat->flags & SEL_HEARTBEAT_FLAG_ARMED_WANTED && !c->is_latched;
    int has_same_config = beat->cfg_crc == c->cfg_crc;

    if (c->state == SEL_BOARD_STATE_IDLE && is_wanted && has_same_config) {
        sel_change_state(c, SEL_BOARD_STATE_ARMED);
    } else if (sel_is_firing(c) && !(is_wanted && has_same_config)) {
        sel_change_state(c, SEL_BOARD_STATE_IDLE);
        if (!has_same_config)
            sel_raise_fault(c, SEL_FAULT_CODE_CFG_MISMATCH, c->now, beat->cfg_crc);
    }
}

static inline void sel_on_set_state(struct sel_controller *c, uint8_t state)
{
    if (state == SEL_BOARD_STATE_SAFE) {
        sel_enter_safe(c, c->now);
    } else if (!c->is_latched) {
        c->wants_armed = state == SEL_BOARD_STATE_ARMED;
        if (state == SEL_BOARD_STATE_IDLE)
            sel_change_state(c, SEL_BOARD_STATE_IDLE);
    }
}

static inline void sel_on_batch(struct sel_controller *c, const struct sel_eject_batch *batch, uint16_t seq)
{
    int64_t base = sel_unwrap(batch->base_evid, c->eject.next_evid);
    uint8_t i;

    for (i = 0; i < batch->items_n; i++) {
        const struct sel_eject_item *item = &batch->items[i];
        struct sel_wish wish = {item->dt_ticks, item->first_valve, item->pulse_us,
                                ((uint32_t)1 << item->valve_count) - 1u, batch->flags};

        sel_eject_take(&c->eject, base + i, batch->base_tick, &wish, c->now, sel_is_firing(c));
    }
    sel_send_eject_ack(c, batch->base_evid, seq);
}

static inline void sel_on_mask(struct sel_controller *c, const struct sel_eject_mask *batch, uint16_t seq)
{
    int64_t base = sel_unwrap(batch->base_evid, c->eject.next_evid);
    uint8_t i;

    for (i = 0; i < batch->items_n; i++) {
        const struct sel_mask_item *item = &batch->items[i];
        struct sel_wish wish = {item->dt_ticks, item->first_valve, item->pulse_us, item->mask, batch->flags};

        sel_eject_take(&c->eject, base + i, batch->base_tick, &wish, c->now, sel_is_firing(c));
    }
    sel_send_eject_ack(c, batch->base_evid, seq);
}

static inline void sel_on_clock_req(struct sel_controller *c, uint32_t token)
{
    struct sel_clock_rsp answer;
    uint8_t payload[24];

    answer.token = token;
    answer.rx_tick = answer.tx_tick = (uint64_t)c->now;
    answer.enc = c->enc;
    sel_send(c, SEL_TYPE_CLOCK_RSP, c->epoch8, c->seq_telemetry++, payload, sel_pack_clock_rsp(payload, &answer));
}

static inline void sel_on_cfg_set(struct sel_controller *c, const struct sel_cfg_set *wish)
{
    struct sel_cfg_val answer;

    sel_config_store(c, wish->key, wish->value);
    answer.key = wish->key;
    answer.value = sel_config_get(c, wish->key);
    answer.cfg_crc = c->cfg_crc;
    sel_pack_cfg_val(sel_control_push(&c->control, SEL_TYPE_CFG_VAL, 10), &answer);
}

static inline void sel_on_dict_read(struct sel_controller *c, const struct sel_dict_read *wish)
{
    size_t offset = wish->offset < SEL_DICTIONARY_B ? wish->offset : SEL_DICTIONARY_B;
    size_t n = SEL_DICTIONARY_B - offset < wish->length ? SEL_DICTIONARY_B - offset : wish->length;
    struct sel_dict_data answer;

    answer.offset = wish->offset;
    answer.data = SEL_DICTIONARY + offset;
    answer.data_len = (uint16_t)n;
    sel_pack_dict_data(sel_control_push(&c->control, SEL_TYPE_DICT_DATA, 2 + n), &answer);
}

union sel_message {
    struct sel_hello hello;
    struct sel_heartbeat heartbeat;
    struct sel_clock_req clock_req;
    struct sel_ctrl_ack ctrl_ack;
    struct sel_eject_batch batch;
    struct sel_eject_mask mask;
    struct sel_eject_cancel cancel;
    struct sel_set_state set_state;
    struct sel_cfg_set cfg_set;
    struct sel_feeder_set feeder_set;
    struct sel_selftest selftest;
    struct sel_dict_read dict_read;
    struct sel_xfer_open xfer_open;
    struct sel_xfer_data xfer_data;
};

/* Keep the answer for the end of this call; an acknowledgement says all that the one before it said. */
static inline void sel_on_bulk_reply(struct sel_controller *c, const struct sel_bulk_reply *reply)
{
    const struct sel_bulk_reply *last = &c->bulk_answers[c->n_bulk_answers != 0 ? c->n_bulk_answers - 1 : 0];
    uint32_t id = reply->kind == SEL_BULK_REPLY_ACK ? reply->ack.transfer_id : reply->done.transfer_id;

    if (reply->has_ended && reply->done.status == SEL_TRANSFER_STATUS_OK && c->io.transfer != NULL)
        c->io.transfer(c->io.ctx, &c->bulk);
    if (reply->kind == SEL_BULK_REPLY_NONE)
        return;
    if (c->n_bulk_answers != 0 && last->kind == SEL_BULK_REPLY_ACK && last->ack.transfer_id == id)
        c->n_bulk_answers--;
    if (c->n_bulk_answers < SEL_MAX_BULK_ANSWERS)
        c->bulk_answers[c->n_bulk_answers++] = *reply;
}

static inline void sel_on_bulk(struct sel_controller *c, uint8_t type, const union sel_message *m)
{
    struct sel_bulk_reply reply;

    if (c->io.store == NULL)
        return;
    reply = type == SEL_TYPE_XFER_OPEN ? sel_bulk_on_open(&c->bulk, &m->xfer_open)
                                       : sel_bulk_on_data(&c->bulk, &m->xfer_data);
    sel_on_bulk_reply(c, &reply);
}

/* Read the payload; 0 when its length or a value is not what its type allows. */
static inline int sel_read_message(const struct sel_frame *frame, union sel_message *m)
{
    const uint8_t *payload = frame->payload;
    size_t n = frame->payload_len;

    switch (frame->type) {
    case SEL_TYPE_HELLO:
        return sel_unpack_hello(&m->hello, payload, n);
    case SEL_TYPE_EJECT_BATCH:
        return sel_unpack_eject_batch(&m->batch, payload, n);
    case SEL_TYPE_EJECT_MASK:
        return sel_unpack_eject_mask(&m->mask, payload, n);
    case SEL_TYPE_EJECT_CANCEL:
        return sel_unpack_eject_cancel(&m->cancel, payload, n);
    case SEL_TYPE_HEARTBEAT:
        return sel_unpack_heartbeat(&m->heartbeat, payload, n);
    case SEL_TYPE_CLOCK_REQ:
        return sel_unpack_clock_req(&m->clock_req, payload, n);
    case SEL_TYPE_CTRL_ACK:
        return sel_unpack_ctrl_ack(&m->ctrl_ack, payload, n);
    case SEL_TYPE_SET_STATE:
        return sel_unpack_set_state(&m->set_state, payload, n);
    case SEL_TYPE_CFG_SET:
        return sel_unpack_cfg_set(&m->cfg_set, payload, n);
    case SEL_TYPE_FEEDER_SET:
        return sel_unpack_feeder_set(&m->feeder_set, payload, n);
    case SEL_TYPE_SELFTEST:
        return sel_unpack_selftest(&m->selftest, payload, n);
    case SEL_TYPE_DICT_READ:
        return sel_unpack_dict_read(&m->dict_read, payload, n);
    case SEL_TYPE_XFER_OPEN:
        return sel_unpack_xfer_open(&m->xfer_open, payload, n);
    case SEL_TYPE_XFER_DATA:
        return sel_unpack_xfer_data(&m->xfer_data, payload, n);
    default:
        return sel_payload_verdict(frame->type, payload, n) == 1;
    }
}

static inline void sel_dispatch(struct sel_controller *c, const struct sel_frame *frame, const union sel_message *m)
{
    switch (frame->type) {
    case SEL_TYPE_HELLO:
        sel_on_hello(c, &m->hello, frame->seq);
        break;
    case SEL_TYPE_EJECT_BATCH:
        sel_on_batch(c, &m->batch, frame->seq);
        break;
    case SEL_TYPE_EJECT_MASK:
        sel_on_mask(c, &m->mask, frame->seq);
        break;
    case SEL_TYPE_EJECT_CANCEL:
        sel_eject_cancel(&c->eject, m->cancel.from_evid, m->cancel.to_evid);
        sel_send_eject_ack(c, m->cancel.from_evid, frame->seq);
        break;
    case SEL_TYPE_HEARTBEAT:
        sel_on_heartbeat(c, &m->heartbeat);
        break;
    case SEL_TYPE_CLOCK_REQ:
        sel_on_clock_req(c, m->clock_req.token);
        break;
    case SEL_TYPE_CTRL_ACK:
        sel_control_on_ack(&c->control, m->ctrl_ack.next_seq, m->ctrl_ack.credit, c->now * 1000);
        break;
    case SEL_TYPE_SET_STATE:
        sel_on_set_state(c, m->set_state.state);
        break;
    case SEL_TYPE_CFG_SET:
        sel_on_cfg_set(c, &m->cfg_set);
        break;
    case SEL_TYPE_FEEDER_SET:
        c->feeder_permille = c->is_latched ? (uint16_t)0 : m->feeder_set.permille;
        break;
    case SEL_TYPE_SELFTEST:
        sel_start_selftest(c, &m->selftest);
        break;
    case SEL_TYPE_DICT_READ:
        sel_on_dict_read(c, &m->dict_read);
        break;
    case SEL_TYPE_XFER_OPEN:
    case SEL_TYPE_XFER_DATA:
        sel_on_bulk(c, frame->type, m);
        break;
    default: /* VERDICT, LOG, ERROR: for a controller that has a use for them */
        break;
    }
}

/* Have the host told about a frame of this session that had to be understood. */
static inline void sel_refuse_unknown(struct sel_controller *c, const struct sel_frame *frame)
{
    struct sel_error *error = &c->errors[c->n_errors];
    int is_ours = (frame->type & SEL_TO_HOST) == 0 && c->epoch8 != 0 && frame->epoch8 == c->epoch8;

    if (!is_ours || (frame->type & SEL_MUST_UNDERSTAND) == 0 || c->n_errors == SEL_MAX_ERRORS)
        return;
    error->type = frame->type;
    error->seq = frame->seq;
    error->code = SEL_ERROR_CODE_UNKNOWN_TYPE;
    c->n_errors++;
}

/* Judge an intact frame. Returns 1 when it belongs to no session of this controller. */
static inline int sel_admit_frame(struct sel_controller *c, const struct sel_frame *frame)
{
    enum sel_delivery delivery = sel_delivery_of(frame->type);
    int is_session = delivery == SEL_DELIVERY_SESSION;
    union sel_message message;

    if (delivery == SEL_DELIVERY_NONE) {
        sel_refuse_unknown(c, frame);
        return 0;
    }
    if (frame->type & SEL_TO_HOST)
        return 0;
    if (is_session ? frame->epoch8 != 0 : c->epoch8 == 0 || frame->epoch8 != c->epoch8)
        return 1;
    if (!is_session)
        c->last_heard = c->now;
    memset(&message, 0, sizeof message); /* compilers cannot see that what is dispatched was read */
    if (!sel_read_message(frame, &message))
        return 0;
    if (delivery != SEL_DELIVERY_CONTROL || sel_control_accept(&c->control, frame->seq))
        sel_dispatch(c, frame, &message);
    return 0;
}

/* Tell a host of a session from before the start who is here now, at most ten times a second. */
static inline void sel_announce(struct sel_controller *c)
{
    if (!c->has_host && c->now >= c->announce_due) {
        c->announce_due = c->now + SEL_STATUS_PERIOD;
        sel_send_ident(c, 0);
    }
}

/* ---- what the caller calls ---- */

/* Take bytes from the host, any bytes. */
static inline void sel_controller_feed(struct sel_controller *c, const uint8_t *data, size_t n, int64_t now,
                                       uint32_t enc)
{
    int has_stranger = 0;
    size_t i;

    sel_run_to(c, now, enc);
    for (i = 0; i < n; i++) {
        if (sel_decoder_push(&c->decoder, data[i])) {
            struct sel_frame frame = sel_decoder_frame(&c->decoder);

            has_stranger |= sel_admit_frame(c, &frame);
        }
    }
    if (has_stranger)
        sel_announce(c);
    sel_flush(c);
}

/* Let time pass: fire what is due, watch the host, report. */
static inline void sel_controller_advance(struct sel_controller *c, int64_t now, uint32_t enc)
{
    sel_run_to(c, now, enc);
    sel_judge(c);
    if (c->epoch8 != 0 && (c->has_changed || c->now >= c->status_due))
        sel_send_status(c);
    sel_flush(c);
}

/* The camera triggered now: tell the host tick and encoder, latched by hardware. */
static inline void sel_controller_trigger(struct sel_controller *c, uint32_t frame_no, int64_t now, uint32_t enc,
                                          uint32_t stamp_enc)
{
    struct sel_trigger_stamp stamp;
    uint8_t payload[12];

    sel_run_to(c, now, enc);
    if (c->epoch8 == 0)
        return;
    stamp.frame_no = frame_no;
    stamp.tick = (uint32_t)(uint64_t)c->now;
    stamp.enc = stamp_enc;
    sel_send(c, SEL_TYPE_TRIGGER_STAMP, c->epoch8, c->seq_telemetry++, payload,
             sel_pack_trigger_stamp(payload, &stamp));
}

/* Power fails now: every valve closes. Initialise anew to go on. */
static inline void sel_controller_power_off(struct sel_controller *c, int64_t now, uint32_t enc)
{
    sel_run_to(c, now, enc);
    sel_eject_close_all(&c->eject, c->now);
}

#endif
