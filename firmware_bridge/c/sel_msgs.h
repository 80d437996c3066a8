/* Made from sel1.toml by `python -m firmware_bridge.generate`; do not edit.
 *
 * SEL/1 messages: payload bytes to structs and back, with every range and rule of the table; numbers, limits, texts of
 * enums. It must not know frames, sessions or what a message leads to.
 *
 *     struct sel_feeder_set wish;
 *     if (frame.type == SEL_TYPE_FEEDER_SET && sel_unpack_feeder_set(&wish, frame.payload, frame.payload_len))
 *         set_feeder(wish.permille);
 *
 * sel_pack_x returns the length of the payload, 0 when a value is out of range or a rule is broken; `out` holds
 * SEL_MAX_X_B bytes. sel_unpack_x returns 1, or 0 for a wrong length, a value out of range or a broken rule; what it
 * then left in the struct means nothing. Bytes of variable length are not copied: the struct points into the payload.
 */
#ifndef SEL_MSGS_H
#define SEL_MSGS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sel_codec.h"

#define SEL_PROTOCOL_VERSION 1u
#define SEL_TO_HOST 0x80u        /* bit 7 of the type */
#define SEL_MUST_UNDERSTAND 0x40u /* bit 6 of the type */
#define SEL_MAX_VALVES 4096u /* 12 bits of the valve field */
#define SEL_MAX_VALVES_PER_EVENT 16u /* 4 bits of the valve field */
#define SEL_MAX_EVENTS_PER_BATCH 39u /* 10 + 6 * 39 + 8 = 252 B: one COBS group */
#define SEL_MAX_EVENTS_PER_MASK_BATCH 23u /* 10 + 10 * 23 + 8 = 248 B: one COBS group */
#define SEL_MAX_REPORTS_PER_FRAME 35u /* 1 + 7 * 35 + 8 = 254 B: one COBS group */
#define SEL_MAX_BLOCK_B 234u /* 12 + 234 + 8 = 254 B: a bulk frame beside ejections is one COBS group */
#define SEL_WINDOW_EVENTS 1024u /* event ids the controller remembers */
#define SEL_MAX_HELLO_B 9u
#define SEL_MAX_IDENT_B 59u
#define SEL_MAX_DICT_READ_B 3u
#define SEL_MAX_DICT_DATA_B 242u
#define SEL_MAX_CLOCK_REQ_B 4u
#define SEL_MAX_CLOCK_RSP_B 24u
#define SEL_MAX_TRIGGER_STAMP_B 12u
#define SEL_MAX_CTRL_ACK_B 3u
#define SEL_MAX_EJECT_BATCH_B 244u
#define SEL_MAX_EJECT_MASK_B 240u
#define SEL_MAX_EJECT_CANCEL_B 8u
#define SEL_MAX_EJECT_ACK_B 20u
#define SEL_MAX_EJECT_EXC_B 246u
#define SEL_MAX_HEARTBEAT_B 9u
#define SEL_MAX_STATUS_B 48u
#define SEL_MAX_FAULT_B 12u
#define SEL_MAX_SET_STATE_B 2u
#define SEL_MAX_CFG_SET_B 6u
#define SEL_MAX_CFG_VAL_B 10u
#define SEL_MAX_SELFTEST_B 7u
#define SEL_MAX_SELFTEST_RES_B 7u
#define SEL_MAX_FEEDER_SET_B 2u
#define SEL_MAX_VERDICT_B 12u
#define SEL_MAX_XFER_OPEN_B 95u
#define SEL_MAX_XFER_DATA_B 1024u
#define SEL_MAX_XFER_ACK_B 16u
#define SEL_MAX_XFER_DONE_B 21u
#define SEL_MAX_LOG_B 201u
#define SEL_MAX_ERROR_B 4u

/* What the controller allows itself to do. */
enum sel_board_state {
    SEL_BOARD_STATE_BOOT = 0, /* power is on, nothing else */
    SEL_BOARD_STATE_SAFE = 1, /* valves off, feeder off; latched until a HELLO with a new epoch */
    SEL_BOARD_STATE_IDLE = 2, /* in session, does not fire */
    SEL_BOARD_STATE_ARMED = 3, /* fires */
    SEL_BOARD_STATE_DEGRADED = 4, /* armed, but too many events come late */
};

/* Why the host asks for a state; the controller only records it. */
enum sel_state_reason {
    SEL_STATE_REASON_UNSPECIFIED = 0,
    SEL_STATE_REASON_OPERATOR = 1,
    SEL_STATE_REASON_SHUTDOWN = 2,
    SEL_STATE_REASON_FAULT = 3,
};

/* What was not normal about an event; LATE_FIRED, PULSE_CLAMPED and MERGED did fire. */
enum sel_eject_reason {
    SEL_EJECT_REASON_LATE_DROPPED = 1, /* came after its time: dropped */
    SEL_EJECT_REASON_LATE_FIRED = 2, /* came late within the tolerance: fired at once */
    SEL_EJECT_REASON_TOO_FAR = 3, /* farther ahead than the horizon */
    SEL_EJECT_REASON_BAD_VALVE = 4, /* such a valve does not exist */
    SEL_EJECT_REASON_PULSE_CLAMPED = 5, /* fired, but no longer than the limit */
    SEL_EJECT_REASON_MERGED = 6, /* met another pulse on one of its valves */
    SEL_EJECT_REASON_DUTY_LIMIT = 7, /* too many valves open, or a valve open too much of the time */
    SEL_EJECT_REASON_NOT_ARMED = 8, /* the controller was not armed */
    SEL_EJECT_REASON_QUEUE_FULL = 9, /* no room for another event */
    SEL_EJECT_REASON_CANCELLED = 10, /* accepted, then cut before its time by SAFE or on the host's wish */
    SEL_EJECT_REASON_UNSUPPORTED = 11, /* encoder counts on a controller without them */
};

/* Tell whether the valve was opened for this event all the same. */
static inline int sel_eject_reason_has_fired(uint32_t value)
{
    return value == 2u || value == 5u || value == 6u;
}

/* Conditions that the controller latches until the next new session; bit `code` of STATUS.faults. */
enum sel_fault_code {
    SEL_FAULT_CODE_HOST_SILENT = 1, /* nothing heard from the host for longer than the watchdog allows */
    SEL_FAULT_CODE_CFG_MISMATCH = 2, /* the host's checksum over the configuration is another one */
    SEL_FAULT_CODE_LATE_RATE = 3, /* too many events came late within a second */
    SEL_FAULT_CODE_QUEUE_OVERRUN = 4, /* events were refused because the queue was full */
};

/* Who tells the truth about a piece, and therefore what `object_id` holds. */
enum sel_verdict_source {
    SEL_VERDICT_SOURCE_OPERATOR_KEY = 1, /* object_id is the host's object number */
    SEL_VERDICT_SOURCE_INSPECTION_ACCEPT = 2, /* object_id is the lane; tick is when the piece crossed the inspection line */
    SEL_VERDICT_SOURCE_INSPECTION_REJECT = 3, /* the same, seen on the reject side of the stream */
};

/* What the self-test does to each valve. */
enum sel_selftest_mode {
    SEL_SELFTEST_MODE_MEASURE = 0, /* a pulse too short to let air through; coil only */
    SEL_SELFTEST_MODE_FIRE = 1, /* a whole pulse */
};

/* What a bulk transfer carries. */
enum sel_transfer_kind {
    SEL_TRANSFER_KIND_FILE = 0, /* bytes with a name */
    SEL_TRANSFER_KIND_FIRMWARE = 1, /* an image for the receiver */
    SEL_TRANSFER_KIND_RESIDUAL = 2, /* a residual record */
};

/* How a bulk transfer ended. */
enum sel_transfer_status {
    SEL_TRANSFER_STATUS_OK = 0, /* all bytes there and their SHA-256 right */
    SEL_TRANSFER_STATUS_BAD_HASH = 1, /* all bytes there, but not those that were announced */
    SEL_TRANSFER_STATUS_NO_SPACE = 2, /* longer than the receiver can keep */
    SEL_TRANSFER_STATUS_REFUSED = 3, /* the receiver does not take this kind */
};

/* Why a frame that must be understood was not. */
enum sel_error_code {
    SEL_ERROR_CODE_UNKNOWN_TYPE = 1, /* the receiver does not know this type */
};

/* How much a log line matters. */
enum sel_log_level {
    SEL_LOG_LEVEL_DEBUG = 0,
    SEL_LOG_LEVEL_INFO = 1,
    SEL_LOG_LEVEL_WARNING = 2,
    SEL_LOG_LEVEL_ERROR = 3,
};

/* Keys of CFG_SET; a number never changes its meaning. */
enum sel_config_key {
    SEL_CONFIG_KEY_MAX_PULSE_US = 1, /* a longer pulse is clamped, a valve open longer is cut */
    SEL_CONFIG_KEY_MIN_OFF_US = 2, /* a valve stays closed at least this long */
    SEL_CONFIG_KEY_LATE_TOL_US = 3, /* an event this late may still fire when its batch allows it */
    SEL_CONFIG_KEY_HORIZON_US = 4, /* an event farther ahead is refused */
    SEL_CONFIG_KEY_WD_MS = 5, /* host silence that leads to SAFE */
    SEL_CONFIG_KEY_MAX_OPEN_VALVES = 6, /* no more valves are open at the same time */
    SEL_CONFIG_KEY_MAX_DUTY_PERMILLE = 7, /* a valve is open no more of the last second than this */
};

/* Bits of EJECT_BATCH.flags and EJECT_MASK.flags. */
enum sel_batch_flag {
    SEL_BATCH_FLAG_ENCODER = 1, /* times are encoder counts, not ticks */
    SEL_BATCH_FLAG_REPEAT = 2, /* sent before, byte for byte but for this bit and the frame's seq */
    SEL_BATCH_FLAG_ALLOW_LATE = 4, /* fire late within the tolerance rather than drop */
};

/* Bits of HEARTBEAT.flags. */
enum sel_heartbeat_flag {
    SEL_HEARTBEAT_FLAG_ARMED_WANTED = 1,
    SEL_HEARTBEAT_FLAG_ENCODER_EXPECTED = 2,
};

/* Bits of IDENT.caps. */
enum sel_capability_flag {
    SEL_CAPABILITY_FLAG_ENCODER_TIMES = 1, /* fire times may be encoder counts */
    SEL_CAPABILITY_FLAG_SELFTEST = 2, /* SELFTEST is answered with measured values */
    SEL_CAPABILITY_FLAG_BULK = 4, /* takes bulk transfers */
};

/* Bits of SELFTEST_RES.flags. */
enum sel_selftest_flag {
    SEL_SELFTEST_FLAG_REFUSED = 1, /* nothing was moved: not IDLE, the feeder runs, such a valve does not exist, or the pulse is too long */
    SEL_SELFTEST_FLAG_LAST = 2, /* no further answer follows */
    SEL_SELFTEST_FLAG_NO_SENSE = 4, /* the controller cannot measure; coil_ma and open_us are 0 */
};

/* Type bytes; to one that travels both ways SEL_TO_HOST is added on the way to the host. */
enum {
    SEL_TYPE_HELLO = 0x01,
    SEL_TYPE_IDENT = 0x81,
    SEL_TYPE_DICT_READ = 0x02,
    SEL_TYPE_DICT_DATA = 0x82,
    SEL_TYPE_CLOCK_REQ = 0x03,
    SEL_TYPE_CLOCK_RSP = 0x83,
    SEL_TYPE_TRIGGER_STAMP = 0x84,
    SEL_TYPE_CTRL_ACK = 0x05,
    SEL_TYPE_EJECT_BATCH = 0x10,
    SEL_TYPE_EJECT_MASK = 0x11,
    SEL_TYPE_EJECT_CANCEL = 0x12,
    SEL_TYPE_EJECT_ACK = 0x90,
    SEL_TYPE_EJECT_EXC = 0x91,
    SEL_TYPE_HEARTBEAT = 0x20,
    SEL_TYPE_STATUS = 0xA0,
    SEL_TYPE_FAULT = 0xA1,
    SEL_TYPE_SET_STATE = 0x21,
    SEL_TYPE_CFG_SET = 0x22,
    SEL_TYPE_CFG_VAL = 0xA2,
    SEL_TYPE_SELFTEST = 0x23,
    SEL_TYPE_SELFTEST_RES = 0xA3,
    SEL_TYPE_FEEDER_SET = 0x24,
    SEL_TYPE_VERDICT = 0x30,
    SEL_TYPE_XFER_OPEN = 0x40,
    SEL_TYPE_XFER_DATA = 0x41,
    SEL_TYPE_XFER_ACK = 0x42,
    SEL_TYPE_XFER_DONE = 0x43,
    SEL_TYPE_LOG = 0x50,
    SEL_TYPE_ERROR = 0x7F,
};

/* How a message gets through; NONE is an unknown type. */
enum sel_delivery {
    SEL_DELIVERY_NONE,
    SEL_DELIVERY_SESSION,
    SEL_DELIVERY_CONTROL,
    SEL_DELIVERY_EJECT,
    SEL_DELIVERY_TELEMETRY,
    SEL_DELIVERY_BULK,
};

/* By the whole type byte, the bit of the direction included. */
static inline enum sel_delivery sel_delivery_of(uint8_t type)
{
    switch (type) {
    case SEL_TYPE_HELLO:
    case SEL_TYPE_IDENT:
        return SEL_DELIVERY_SESSION;
    case SEL_TYPE_DICT_READ:
    case SEL_TYPE_DICT_DATA:
    case SEL_TYPE_EJECT_EXC:
    case SEL_TYPE_FAULT:
    case SEL_TYPE_SET_STATE:
    case SEL_TYPE_CFG_SET:
    case SEL_TYPE_CFG_VAL:
    case SEL_TYPE_SELFTEST:
    case SEL_TYPE_SELFTEST_RES:
    case SEL_TYPE_FEEDER_SET:
    case SEL_TYPE_VERDICT:
    case SEL_TYPE_VERDICT | SEL_TO_HOST:
        return SEL_DELIVERY_CONTROL;
    case SEL_TYPE_EJECT_BATCH:
    case SEL_TYPE_EJECT_MASK:
    case SEL_TYPE_EJECT_CANCEL:
    case SEL_TYPE_EJECT_ACK:
        return SEL_DELIVERY_EJECT;
    case SEL_TYPE_CLOCK_REQ:
    case SEL_TYPE_CLOCK_RSP:
    case SEL_TYPE_TRIGGER_STAMP:
    case SEL_TYPE_CTRL_ACK:
    case SEL_TYPE_CTRL_ACK | SEL_TO_HOST:
    case SEL_TYPE_HEARTBEAT:
    case SEL_TYPE_STATUS:
    case SEL_TYPE_LOG:
    case SEL_TYPE_LOG | SEL_TO_HOST:
    case SEL_TYPE_ERROR:
    case SEL_TYPE_ERROR | SEL_TO_HOST:
        return SEL_DELIVERY_TELEMETRY;
    case SEL_TYPE_XFER_OPEN:
    case SEL_TYPE_XFER_OPEN | SEL_TO_HOST:
    case SEL_TYPE_XFER_DATA:
    case SEL_TYPE_XFER_DATA | SEL_TO_HOST:
    case SEL_TYPE_XFER_ACK:
    case SEL_TYPE_XFER_ACK | SEL_TO_HOST:
    case SEL_TYPE_XFER_DONE:
    case SEL_TYPE_XFER_DONE | SEL_TO_HOST:
        return SEL_DELIVERY_BULK;
    default:
        return SEL_DELIVERY_NONE;
    }
}

/* Value after power-on and inclusive limits of each key, in ascending order of keys. */
struct sel_config_row {
    uint16_t key;
    uint32_t initial, low, high;
};

#define SEL_CONFIG_COUNT 7u

static const struct sel_config_row SEL_CONFIG[SEL_CONFIG_COUNT] = {
    {SEL_CONFIG_KEY_MAX_PULSE_US, 20000u, 50u, 65535u},
    {SEL_CONFIG_KEY_MIN_OFF_US, 500u, 0u, 65535u},
    {SEL_CONFIG_KEY_LATE_TOL_US, 150u, 0u, 10000u},
    {SEL_CONFIG_KEY_HORIZON_US, 2000000u, 10000u, 60000000u},
    {SEL_CONFIG_KEY_WD_MS, 250u, 20u, 5000u},
    {SEL_CONFIG_KEY_MAX_OPEN_VALVES, 4096u, 1u, 4096u},
    {SEL_CONFIG_KEY_MAX_DUTY_PERMILLE, 1000u, 1u, 1000u},
};

/* One event of a batch: adjacent valves, opened `dt_ticks` after the batch's base tick. */
struct sel_eject_item {
    uint16_t dt_ticks;
    uint16_t first_valve;
    uint8_t valve_count;
    uint16_t pulse_us;
};

static inline int sel_is_valid_eject_item(const struct sel_eject_item *m)
{
    if (!(m->first_valve <= 4095u))
        return 0;
    if (!(m->valve_count >= 1u && m->valve_count <= 16u))
        return 0;
    if (!(m->pulse_us >= 1u))
        return 0;
    return 1;
}

static inline void sel_get_eject_item(struct sel_eject_item *m, const uint8_t *p)
{
    m->dt_ticks = sel_get_u16(p);
    m->first_valve = (uint16_t)(sel_get_u16(p + 2) & 0xFFFu);
    m->valve_count = (uint8_t)((sel_get_u16(p + 2) >> 12) + 1u);
    m->pulse_us = sel_get_u16(p + 4);
}

static inline void sel_put_eject_item(uint8_t *p, const struct sel_eject_item *m)
{
    sel_put_u16(p, m->dt_ticks);
    sel_put_u16(p + 2, (uint16_t)(m->first_valve | (m->valve_count - 1u) << 12));
    sel_put_u16(p + 4, m->pulse_us);
}

/* One event with any of 32 valves: bit i of `mask` is valve first_valve + i. */
struct sel_mask_item {
    uint16_t dt_ticks;
    uint16_t first_valve;
    uint32_t mask;
    uint16_t pulse_us;
};

static inline int sel_is_valid_mask_item(const struct sel_mask_item *m)
{
    if (!(m->first_valve <= 4095u))
        return 0;
    if (!(m->mask >= 1u))
        return 0;
    if (!(m->pulse_us >= 1u))
        return 0;
    return 1;
}

static inline void sel_get_mask_item(struct sel_mask_item *m, const uint8_t *p)
{
    m->dt_ticks = sel_get_u16(p);
    m->first_valve = sel_get_u16(p + 2);
    m->mask = sel_get_u32(p + 4);
    m->pulse_us = sel_get_u16(p + 8);
}

static inline void sel_put_mask_item(uint8_t *p, const struct sel_mask_item *m)
{
    sel_put_u16(p, m->dt_ticks);
    sel_put_u16(p + 2, m->first_valve);
    sel_put_u32(p + 4, m->mask);
    sel_put_u16(p + 8, m->pulse_us);
}

/* One event that did not go normally; lateness in steps of 10 us, negative is early. */
struct sel_eject_report {
    uint32_t evid;
    uint8_t reason; /* enum sel_eject_reason */
    int16_t lateness_10us;
};

static inline int sel_is_valid_eject_report(const struct sel_eject_report *m)
{
    if (!(m->reason >= 1u && m->reason <= 11u))
        return 0;
    return 1;
}

static inline void sel_get_eject_report(struct sel_eject_report *m, const uint8_t *p)
{
    m->evid = sel_get_u32(p);
    m->reason = p[4];
    m->lateness_10us = (int16_t)sel_get_u16(p + 5);
}

static inline void sel_put_eject_report(uint8_t *p, const struct sel_eject_report *m)
{
    sel_put_u32(p, m->evid);
    p[4] = m->reason;
    sel_put_u16(p + 5, (uint16_t)m->lateness_10us);
}

/* Host opens a session; repeated with the same epoch until IDENT answers. */
struct sel_hello {
    uint8_t proto_min;
    uint8_t proto_max;
    uint32_t host_epoch;
    uint16_t wd_ms;
    uint8_t flags;
};

static inline int sel_is_valid_hello(const struct sel_hello *m)
{
    if (!((int64_t)m->proto_min <= (int64_t)m->proto_max))
        return 0;
    if (!(((int64_t)m->host_epoch & 255) != 0))
        return 0;
    return 1;
}

static inline size_t sel_pack_hello(uint8_t *out, const struct sel_hello *m)
{
    if (!sel_is_valid_hello(m))
        return 0;
    out[0] = m->proto_min;
    out[1] = m->proto_max;
    sel_put_u32(out + 2, m->host_epoch);
    sel_put_u16(out + 6, m->wd_ms);
    out[8] = m->flags;
    return 9u;
}

static inline int sel_unpack_hello(struct sel_hello *m, const uint8_t *payload, size_t n)
{
    if (n != 9u)
        return 0;
    m->proto_min = payload[0];
    m->proto_max = payload[1];
    m->host_epoch = sel_get_u32(payload + 2);
    m->wd_ms = sel_get_u16(payload + 6);
    m->flags = payload[8];
    return sel_is_valid_hello(m);
}

/* Controller answers HELLO: who it is, its limits, and where event ids continue. */
struct sel_ident {
    uint8_t proto;
    uint32_t boot_id;
    uint8_t uid[12];
    uint8_t fw_major;
    uint8_t fw_minor;
    uint8_t fw_patch;
    uint32_t fw_git;
    uint32_t tick_hz;
    uint16_t n_valves;
    uint16_t slots;
    uint16_t rx_window;
    uint16_t max_body;
    uint16_t max_pulse_us;
    uint16_t min_off_us;
    uint32_t caps; /* enum sel_capability_flag */
    uint32_t dict_crc;
    uint32_t cfg_crc;
    uint8_t state; /* enum sel_board_state */
    uint16_t pending;
    uint32_t next_evid;
};

static inline int sel_is_valid_ident(const struct sel_ident *m)
{
    if (!(m->tick_hz >= 1u))
        return 0;
    if (!(m->state <= 4u))
        return 0;
    return 1;
}

static inline size_t sel_pack_ident(uint8_t *out, const struct sel_ident *m)
{
    if (!sel_is_valid_ident(m))
        return 0;
    out[0] = m->proto;
    sel_put_u32(out + 1, m->boot_id);
    memcpy(out + 5, m->uid, 12);
    out[17] = m->fw_major;
    out[18] = m->fw_minor;
    out[19] = m->fw_patch;
    sel_put_u32(out + 20, m->fw_git);
    sel_put_u32(out + 24, m->tick_hz);
    sel_put_u16(out + 28, m->n_valves);
    sel_put_u16(out + 30, m->slots);
    sel_put_u16(out + 32, m->rx_window);
    sel_put_u16(out + 34, m->max_body);
    sel_put_u16(out + 36, m->max_pulse_us);
    sel_put_u16(out + 38, m->min_off_us);
    sel_put_u32(out + 40, m->caps);
    sel_put_u32(out + 44, m->dict_crc);
    sel_put_u32(out + 48, m->cfg_crc);
    out[52] = m->state;
    sel_put_u16(out + 53, m->pending);
    sel_put_u32(out + 55, m->next_evid);
    return 59u;
}

static inline int sel_unpack_ident(struct sel_ident *m, const uint8_t *payload, size_t n)
{
    if (n != 59u)
        return 0;
    m->proto = payload[0];
    m->boot_id = sel_get_u32(payload + 1);
    memcpy(m->uid, payload + 5, 12);
    m->fw_major = payload[17];
    m->fw_minor = payload[18];
    m->fw_patch = payload[19];
    m->fw_git = sel_get_u32(payload + 20);
    m->tick_hz = sel_get_u32(payload + 24);
    m->n_valves = sel_get_u16(payload + 28);
    m->slots = sel_get_u16(payload + 30);
    m->rx_window = sel_get_u16(payload + 32);
    m->max_body = sel_get_u16(payload + 34);
    m->max_pulse_us = sel_get_u16(payload + 36);
    m->min_off_us = sel_get_u16(payload + 38);
    m->caps = sel_get_u32(payload + 40);
    m->dict_crc = sel_get_u32(payload + 44);
    m->cfg_crc = sel_get_u32(payload + 48);
    m->state = payload[52];
    m->pending = sel_get_u16(payload + 53);
    m->next_evid = sel_get_u32(payload + 55);
    return sel_is_valid_ident(m);
}

/* Host asks for a piece of the dictionary, the controller's own description of its messages. */
struct sel_dict_read {
    uint16_t offset;
    uint8_t length;
};

static inline int sel_is_valid_dict_read(const struct sel_dict_read *m)
{
    if (!(m->length >= 1u && m->length <= 240u))
        return 0;
    return 1;
}

static inline size_t sel_pack_dict_read(uint8_t *out, const struct sel_dict_read *m)
{
    if (!sel_is_valid_dict_read(m))
        return 0;
    sel_put_u16(out, m->offset);
    out[2] = m->length;
    return 3u;
}

static inline int sel_unpack_dict_read(struct sel_dict_read *m, const uint8_t *payload, size_t n)
{
    if (n != 3u)
        return 0;
    m->offset = sel_get_u16(payload);
    m->length = payload[2];
    return sel_is_valid_dict_read(m);
}

/* A piece of the dictionary; shorter than asked for at its end. */
struct sel_dict_data {
    uint16_t offset;
    const uint8_t *data;
    uint16_t data_len;
};

static inline int sel_is_valid_dict_data(const struct sel_dict_data *m)
{
    if (!(m->data_len <= 240u))
        return 0;
    return 1;
}

static inline size_t sel_pack_dict_data(uint8_t *out, const struct sel_dict_data *m)
{
    if (!sel_is_valid_dict_data(m))
        return 0;
    sel_put_u16(out, m->offset);
    if (m->data_len != 0)
        memcpy(out + 2, m->data, m->data_len);
    return (size_t)2u + m->data_len;
}

static inline int sel_unpack_dict_data(struct sel_dict_data *m, const uint8_t *payload, size_t n)
{
    if (n < 2u || n > 242u)
        return 0;
    m->offset = sel_get_u16(payload);
    m->data = payload + 2;
    m->data_len = (uint16_t)(n - 2u);
    return sel_is_valid_dict_data(m);
}

/* Host asks for the controller's time; the answer carries the same token. */
struct sel_clock_req {
    uint32_t token;
};

static inline int sel_is_valid_clock_req(const struct sel_clock_req *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_clock_req(uint8_t *out, const struct sel_clock_req *m)
{
    sel_put_u32(out, m->token);
    return 4u;
}

static inline int sel_unpack_clock_req(struct sel_clock_req *m, const uint8_t *payload, size_t n)
{
    if (n != 4u)
        return 0;
    m->token = sel_get_u32(payload);
    return sel_is_valid_clock_req(m);
}

/* Controller's ticks when the request came in and when this answer left; not cut to 32 bits. */
struct sel_clock_rsp {
    uint32_t token;
    uint64_t rx_tick;
    uint64_t tx_tick;
    uint32_t enc;
};

static inline int sel_is_valid_clock_rsp(const struct sel_clock_rsp *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_clock_rsp(uint8_t *out, const struct sel_clock_rsp *m)
{
    sel_put_u32(out, m->token);
    sel_put_u64(out + 4, m->rx_tick);
    sel_put_u64(out + 12, m->tx_tick);
    sel_put_u32(out + 20, m->enc);
    return 24u;
}

static inline int sel_unpack_clock_rsp(struct sel_clock_rsp *m, const uint8_t *payload, size_t n)
{
    if (n != 24u)
        return 0;
    m->token = sel_get_u32(payload);
    m->rx_tick = sel_get_u64(payload + 4);
    m->tx_tick = sel_get_u64(payload + 12);
    m->enc = sel_get_u32(payload + 20);
    return sel_is_valid_clock_rsp(m);
}

/* Tick and encoder latched at the camera trigger of one frame or line block. */
struct sel_trigger_stamp {
    uint32_t frame_no;
    uint32_t tick;
    uint32_t enc;
};

static inline int sel_is_valid_trigger_stamp(const struct sel_trigger_stamp *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_trigger_stamp(uint8_t *out, const struct sel_trigger_stamp *m)
{
    sel_put_u32(out, m->frame_no);
    sel_put_u32(out + 4, m->tick);
    sel_put_u32(out + 8, m->enc);
    return 12u;
}

static inline int sel_unpack_trigger_stamp(struct sel_trigger_stamp *m, const uint8_t *payload, size_t n)
{
    if (n != 12u)
        return 0;
    m->frame_no = sel_get_u32(payload);
    m->tick = sel_get_u32(payload + 4);
    m->enc = sel_get_u32(payload + 8);
    return sel_is_valid_trigger_stamp(m);
}

/* Cumulative acknowledgement of the control class: every seq before next_seq has arrived. */
struct sel_ctrl_ack {
    uint16_t next_seq;
    uint8_t credit;
};

static inline int sel_is_valid_ctrl_ack(const struct sel_ctrl_ack *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_ctrl_ack(uint8_t *out, const struct sel_ctrl_ack *m)
{
    sel_put_u16(out, m->next_seq);
    out[2] = m->credit;
    return 3u;
}

static inline int sel_unpack_ctrl_ack(struct sel_ctrl_ack *m, const uint8_t *payload, size_t n)
{
    if (n != 3u)
        return 0;
    m->next_seq = sel_get_u16(payload);
    m->credit = payload[2];
    return sel_is_valid_ctrl_ack(m);
}

/* Events with consecutive ids from base_evid on. */
struct sel_eject_batch {
    uint32_t base_evid;
    uint32_t base_tick;
    uint8_t flags; /* enum sel_batch_flag */
    uint8_t items_n;
    struct sel_eject_item items[39];
};

static inline int sel_is_valid_eject_batch(const struct sel_eject_batch *m)
{
    size_t i;

    if (!(m->items_n >= 1u && m->items_n <= 39u))
        return 0;
    for (i = 0; i < m->items_n; i++)
        if (!sel_is_valid_eject_item(&m->items[i]))
            return 0;
    return 1;
}

static inline size_t sel_pack_eject_batch(uint8_t *out, const struct sel_eject_batch *m)
{
    size_t i;

    if (!sel_is_valid_eject_batch(m))
        return 0;
    sel_put_u32(out, m->base_evid);
    sel_put_u32(out + 4, m->base_tick);
    out[8] = m->items_n;
    out[9] = m->flags;
    for (i = 0; i < m->items_n; i++)
        sel_put_eject_item(out + 10u + 6u * i, &m->items[i]);
    return 10u + 6u * (size_t)m->items_n;
}

static inline int sel_unpack_eject_batch(struct sel_eject_batch *m, const uint8_t *payload, size_t n)
{
    size_t i;

    if (n < 10u)
        return 0;
    m->base_evid = sel_get_u32(payload);
    m->base_tick = sel_get_u32(payload + 4);
    m->items_n = payload[8];
    m->flags = payload[9];
    if (m->items_n > 39u || n != 10u + 6u * (size_t)m->items_n)
        return 0;
    for (i = 0; i < m->items_n; i++)
        sel_get_eject_item(&m->items[i], payload + 10u + 6u * i);
    return sel_is_valid_eject_batch(m);
}

/* The same for events whose valves are not adjacent. */
struct sel_eject_mask {
    uint32_t base_evid;
    uint32_t base_tick;
    uint8_t flags; /* enum sel_batch_flag */
    uint8_t items_n;
    struct sel_mask_item items[23];
};

static inline int sel_is_valid_eject_mask(const struct sel_eject_mask *m)
{
    size_t i;

    if (!(m->items_n >= 1u && m->items_n <= 23u))
        return 0;
    for (i = 0; i < m->items_n; i++)
        if (!sel_is_valid_mask_item(&m->items[i]))
            return 0;
    return 1;
}

static inline size_t sel_pack_eject_mask(uint8_t *out, const struct sel_eject_mask *m)
{
    size_t i;

    if (!sel_is_valid_eject_mask(m))
        return 0;
    sel_put_u32(out, m->base_evid);
    sel_put_u32(out + 4, m->base_tick);
    out[8] = m->items_n;
    out[9] = m->flags;
    for (i = 0; i < m->items_n; i++)
        sel_put_mask_item(out + 10u + 10u * i, &m->items[i]);
    return 10u + 10u * (size_t)m->items_n;
}

static inline int sel_unpack_eject_mask(struct sel_eject_mask *m, const uint8_t *payload, size_t n)
{
    size_t i;

    if (n < 10u)
        return 0;
    m->base_evid = sel_get_u32(payload);
    m->base_tick = sel_get_u32(payload + 4);
    m->items_n = payload[8];
    m->flags = payload[9];
    if (m->items_n > 23u || n != 10u + 10u * (size_t)m->items_n)
        return 0;
    for (i = 0; i < m->items_n; i++)
        sel_get_mask_item(&m->items[i], payload + 10u + 10u * i);
    return sel_is_valid_eject_mask(m);
}

/* Events from_evid up to but without to_evid shall not fire, whether they have arrived or not. */
struct sel_eject_cancel {
    uint32_t from_evid;
    uint32_t to_evid;
};

static inline int sel_is_valid_eject_cancel(const struct sel_eject_cancel *m)
{
    if (!(1 <= (((int64_t)m->to_evid - (int64_t)m->from_evid) & INT64_C(4294967295)) && (((int64_t)m->to_evid - (int64_t)m->from_evid) & INT64_C(4294967295)) <= 1024))
        return 0;
    return 1;
}

static inline size_t sel_pack_eject_cancel(uint8_t *out, const struct sel_eject_cancel *m)
{
    if (!sel_is_valid_eject_cancel(m))
        return 0;
    sel_put_u32(out, m->from_evid);
    sel_put_u32(out + 4, m->to_evid);
    return 8u;
}

static inline int sel_unpack_eject_cancel(struct sel_eject_cancel *m, const uint8_t *payload, size_t n)
{
    if (n != 8u)
        return 0;
    m->from_evid = sel_get_u32(payload);
    m->to_evid = sel_get_u32(payload + 4);
    return sel_is_valid_eject_cancel(m);
}

/* Bit i of `received` is set when event base_evid + i has arrived, scheduled or refused. */
struct sel_eject_ack {
    uint32_t base_evid;
    uint64_t received;
    uint16_t free_slots;
    uint16_t seq_echo;
    uint32_t tick;
};

static inline int sel_is_valid_eject_ack(const struct sel_eject_ack *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_eject_ack(uint8_t *out, const struct sel_eject_ack *m)
{
    sel_put_u32(out, m->base_evid);
    sel_put_u64(out + 4, m->received);
    sel_put_u16(out + 12, m->free_slots);
    sel_put_u16(out + 14, m->seq_echo);
    sel_put_u32(out + 16, m->tick);
    return 20u;
}

static inline int sel_unpack_eject_ack(struct sel_eject_ack *m, const uint8_t *payload, size_t n)
{
    if (n != 20u)
        return 0;
    m->base_evid = sel_get_u32(payload);
    m->received = sel_get_u64(payload + 4);
    m->free_slots = sel_get_u16(payload + 12);
    m->seq_echo = sel_get_u16(payload + 14);
    m->tick = sel_get_u32(payload + 16);
    return sel_is_valid_eject_ack(m);
}

/* Reports about events; an acknowledged event without one fired as asked. */
struct sel_eject_exc {
    uint8_t reports_n;
    struct sel_eject_report reports[35];
};

static inline int sel_is_valid_eject_exc(const struct sel_eject_exc *m)
{
    size_t i;

    if (!(m->reports_n >= 1u && m->reports_n <= 35u))
        return 0;
    for (i = 0; i < m->reports_n; i++)
        if (!sel_is_valid_eject_report(&m->reports[i]))
            return 0;
    return 1;
}

static inline size_t sel_pack_eject_exc(uint8_t *out, const struct sel_eject_exc *m)
{
    size_t i;

    if (!sel_is_valid_eject_exc(m))
        return 0;
    out[0] = m->reports_n;
    for (i = 0; i < m->reports_n; i++)
        sel_put_eject_report(out + 1u + 7u * i, &m->reports[i]);
    return 1u + 7u * (size_t)m->reports_n;
}

static inline int sel_unpack_eject_exc(struct sel_eject_exc *m, const uint8_t *payload, size_t n)
{
    size_t i;

    if (n < 1u)
        return 0;
    m->reports_n = payload[0];
    if (m->reports_n > 35u || n != 1u + 7u * (size_t)m->reports_n)
        return 0;
    for (i = 0; i < m->reports_n; i++)
        sel_get_eject_report(&m->reports[i], payload + 1u + 7u * i);
    return sel_is_valid_eject_exc(m);
}

/* Host is alive, what it believes the configuration to be, and whether it wants to be armed. */
struct sel_heartbeat {
    uint32_t host_ms;
    uint32_t cfg_crc;
    uint8_t flags; /* enum sel_heartbeat_flag */
};

static inline int sel_is_valid_heartbeat(const struct sel_heartbeat *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_heartbeat(uint8_t *out, const struct sel_heartbeat *m)
{
    sel_put_u32(out, m->host_ms);
    sel_put_u32(out + 4, m->cfg_crc);
    out[8] = m->flags;
    return 9u;
}

static inline int sel_unpack_heartbeat(struct sel_heartbeat *m, const uint8_t *payload, size_t n)
{
    if (n != 9u)
        return 0;
    m->host_ms = sel_get_u32(payload);
    m->cfg_crc = sel_get_u32(payload + 4);
    m->flags = payload[8];
    return sel_is_valid_heartbeat(m);
}

/* Controller's state and counters; counters wrap at their width. */
struct sel_status {
    uint64_t tick;
    uint32_t enc;
    uint8_t state; /* enum sel_board_state */
    uint32_t faults;
    uint16_t pending;
    uint16_t free;
    uint32_t fired;
    uint16_t late;
    uint16_t dup;
    uint16_t crc_err;
    uint16_t cobs_err;
    uint16_t len_err;
    uint16_t rx_over;
    uint16_t q_hwm;
    uint16_t air_kpa;
    uint16_t supply_mv;
    int8_t temp_c;
    uint32_t cfg_crc;
};

static inline int sel_is_valid_status(const struct sel_status *m)
{
    if (!(m->state <= 4u))
        return 0;
    return 1;
}

static inline size_t sel_pack_status(uint8_t *out, const struct sel_status *m)
{
    if (!sel_is_valid_status(m))
        return 0;
    sel_put_u64(out, m->tick);
    sel_put_u32(out + 8, m->enc);
    out[12] = m->state;
    sel_put_u32(out + 13, m->faults);
    sel_put_u16(out + 17, m->pending);
    sel_put_u16(out + 19, m->free);
    sel_put_u32(out + 21, m->fired);
    sel_put_u16(out + 25, m->late);
    sel_put_u16(out + 27, m->dup);
    sel_put_u16(out + 29, m->crc_err);
    sel_put_u16(out + 31, m->cobs_err);
    sel_put_u16(out + 33, m->len_err);
    sel_put_u16(out + 35, m->rx_over);
    sel_put_u16(out + 37, m->q_hwm);
    sel_put_u16(out + 39, m->air_kpa);
    sel_put_u16(out + 41, m->supply_mv);
    out[43] = (uint8_t)m->temp_c;
    sel_put_u32(out + 44, m->cfg_crc);
    return 48u;
}

static inline int sel_unpack_status(struct sel_status *m, const uint8_t *payload, size_t n)
{
    if (n != 48u)
        return 0;
    m->tick = sel_get_u64(payload);
    m->enc = sel_get_u32(payload + 8);
    m->state = payload[12];
    m->faults = sel_get_u32(payload + 13);
    m->pending = sel_get_u16(payload + 17);
    m->free = sel_get_u16(payload + 19);
    m->fired = sel_get_u32(payload + 21);
    m->late = sel_get_u16(payload + 25);
    m->dup = sel_get_u16(payload + 27);
    m->crc_err = sel_get_u16(payload + 29);
    m->cobs_err = sel_get_u16(payload + 31);
    m->len_err = sel_get_u16(payload + 33);
    m->rx_over = sel_get_u16(payload + 35);
    m->q_hwm = sel_get_u16(payload + 37);
    m->air_kpa = sel_get_u16(payload + 39);
    m->supply_mv = sel_get_u16(payload + 41);
    m->temp_c = (int8_t)payload[43];
    m->cfg_crc = sel_get_u32(payload + 44);
    return sel_is_valid_status(m);
}

/* A fault that has just been latched. */
struct sel_fault {
    uint16_t code;
    uint16_t sub;
    uint32_t tick;
    uint32_t arg;
};

static inline int sel_is_valid_fault(const struct sel_fault *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_fault(uint8_t *out, const struct sel_fault *m)
{
    sel_put_u16(out, m->code);
    sel_put_u16(out + 2, m->sub);
    sel_put_u32(out + 4, m->tick);
    sel_put_u32(out + 8, m->arg);
    return 12u;
}

static inline int sel_unpack_fault(struct sel_fault *m, const uint8_t *payload, size_t n)
{
    if (n != 12u)
        return 0;
    m->code = sel_get_u16(payload);
    m->sub = sel_get_u16(payload + 2);
    m->tick = sel_get_u32(payload + 4);
    m->arg = sel_get_u32(payload + 8);
    return sel_is_valid_fault(m);
}

/* Host asks for SAFE, IDLE or ARMED. */
struct sel_set_state {
    uint8_t state; /* enum sel_board_state */
    uint8_t reason; /* enum sel_state_reason */
};

static inline int sel_is_valid_set_state(const struct sel_set_state *m)
{
    if (!(m->state >= 1u && m->state <= 3u))
        return 0;
    if (!(m->reason <= 3u))
        return 0;
    return 1;
}

static inline size_t sel_pack_set_state(uint8_t *out, const struct sel_set_state *m)
{
    if (!sel_is_valid_set_state(m))
        return 0;
    out[0] = m->state;
    out[1] = m->reason;
    return 2u;
}

static inline int sel_unpack_set_state(struct sel_set_state *m, const uint8_t *payload, size_t n)
{
    if (n != 2u)
        return 0;
    m->state = payload[0];
    m->reason = payload[1];
    return sel_is_valid_set_state(m);
}

/* Host sets one configuration key. */
struct sel_cfg_set {
    uint16_t key;
    uint32_t value;
};

static inline int sel_is_valid_cfg_set(const struct sel_cfg_set *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_cfg_set(uint8_t *out, const struct sel_cfg_set *m)
{
    sel_put_u16(out, m->key);
    sel_put_u32(out + 2, m->value);
    return 6u;
}

static inline int sel_unpack_cfg_set(struct sel_cfg_set *m, const uint8_t *payload, size_t n)
{
    if (n != 6u)
        return 0;
    m->key = sel_get_u16(payload);
    m->value = sel_get_u32(payload + 2);
    return sel_is_valid_cfg_set(m);
}

/* The value a key has now, and the checksum over all keys. */
struct sel_cfg_val {
    uint16_t key;
    uint32_t value;
    uint32_t cfg_crc;
};

static inline int sel_is_valid_cfg_val(const struct sel_cfg_val *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_cfg_val(uint8_t *out, const struct sel_cfg_val *m)
{
    sel_put_u16(out, m->key);
    sel_put_u32(out + 2, m->value);
    sel_put_u32(out + 6, m->cfg_crc);
    return 10u;
}

static inline int sel_unpack_cfg_val(struct sel_cfg_val *m, const uint8_t *payload, size_t n)
{
    if (n != 10u)
        return 0;
    m->key = sel_get_u16(payload);
    m->value = sel_get_u32(payload + 2);
    m->cfg_crc = sel_get_u32(payload + 6);
    return sel_is_valid_cfg_val(m);
}

/* Host asks to try the valves first_valve..last_valve one after another. */
struct sel_selftest {
    uint16_t first_valve;
    uint16_t last_valve;
    uint16_t pulse_us;
    uint8_t mode; /* enum sel_selftest_mode */
};

static inline int sel_is_valid_selftest(const struct sel_selftest *m)
{
    if (!(m->first_valve <= 4095u))
        return 0;
    if (!(m->last_valve <= 4095u))
        return 0;
    if (!(m->pulse_us >= 1u))
        return 0;
    if (!(m->mode <= 1u))
        return 0;
    if (!((int64_t)m->first_valve <= (int64_t)m->last_valve))
        return 0;
    return 1;
}

static inline size_t sel_pack_selftest(uint8_t *out, const struct sel_selftest *m)
{
    if (!sel_is_valid_selftest(m))
        return 0;
    sel_put_u16(out, m->first_valve);
    sel_put_u16(out + 2, m->last_valve);
    sel_put_u16(out + 4, m->pulse_us);
    out[6] = m->mode;
    return 7u;
}

static inline int sel_unpack_selftest(struct sel_selftest *m, const uint8_t *payload, size_t n)
{
    if (n != 7u)
        return 0;
    m->first_valve = sel_get_u16(payload);
    m->last_valve = sel_get_u16(payload + 2);
    m->pulse_us = sel_get_u16(payload + 4);
    m->mode = payload[6];
    return sel_is_valid_selftest(m);
}

/* What one valve did: current of its coil and when it opened, measured from the start of the pulse. */
struct sel_selftest_res {
    uint16_t valve;
    uint16_t coil_ma;
    uint16_t open_us;
    uint8_t flags; /* enum sel_selftest_flag */
};

static inline int sel_is_valid_selftest_res(const struct sel_selftest_res *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_selftest_res(uint8_t *out, const struct sel_selftest_res *m)
{
    sel_put_u16(out, m->valve);
    sel_put_u16(out + 2, m->coil_ma);
    sel_put_u16(out + 4, m->open_us);
    out[6] = m->flags;
    return 7u;
}

static inline int sel_unpack_selftest_res(struct sel_selftest_res *m, const uint8_t *payload, size_t n)
{
    if (n != 7u)
        return 0;
    m->valve = sel_get_u16(payload);
    m->coil_ma = sel_get_u16(payload + 2);
    m->open_us = sel_get_u16(payload + 4);
    m->flags = payload[6];
    return sel_is_valid_selftest_res(m);
}

/* Host sets the feeder's rate: 0 is off, 1000 is full. */
struct sel_feeder_set {
    uint16_t permille;
};

static inline int sel_is_valid_feeder_set(const struct sel_feeder_set *m)
{
    if (!(m->permille <= 1000u))
        return 0;
    return 1;
}

static inline size_t sel_pack_feeder_set(uint8_t *out, const struct sel_feeder_set *m)
{
    if (!sel_is_valid_feeder_set(m))
        return 0;
    sel_put_u16(out, m->permille);
    return 2u;
}

static inline int sel_unpack_feeder_set(struct sel_feeder_set *m, const uint8_t *payload, size_t n)
{
    if (n != 2u)
        return 0;
    m->permille = sel_get_u16(payload);
    return sel_is_valid_feeder_set(m);
}

/* Truth about one piece: it was of class class_id. Confidence 255 is certain. */
struct sel_verdict {
    uint32_t object_id;
    uint16_t class_id;
    uint8_t confidence_255;
    uint8_t source; /* enum sel_verdict_source */
    uint32_t tick;
};

static inline int sel_is_valid_verdict(const struct sel_verdict *m)
{
    if (!(m->source >= 1u && m->source <= 3u))
        return 0;
    return 1;
}

static inline size_t sel_pack_verdict(uint8_t *out, const struct sel_verdict *m)
{
    if (!sel_is_valid_verdict(m))
        return 0;
    sel_put_u32(out, m->object_id);
    sel_put_u16(out + 4, m->class_id);
    out[6] = m->confidence_255;
    out[7] = m->source;
    sel_put_u32(out + 8, m->tick);
    return 12u;
}

static inline int sel_unpack_verdict(struct sel_verdict *m, const uint8_t *payload, size_t n)
{
    if (n != 12u)
        return 0;
    m->object_id = sel_get_u32(payload);
    m->class_id = sel_get_u16(payload + 4);
    m->confidence_255 = payload[6];
    m->source = payload[7];
    m->tick = sel_get_u32(payload + 8);
    return sel_is_valid_verdict(m);
}

/* Announce bytes: how many, their SHA-256 (first half), in which blocks they come. */
struct sel_xfer_open {
    uint32_t transfer_id;
    uint64_t size_b;
    uint8_t sha256_16[16];
    uint8_t kind; /* enum sel_transfer_kind */
    uint16_t block_b;
    const uint8_t *name;
    uint16_t name_len;
};

static inline int sel_is_valid_xfer_open(const struct sel_xfer_open *m)
{
    if (!(m->kind <= 2u))
        return 0;
    if (!(m->block_b >= 1u && m->block_b <= 234u))
        return 0;
    if (!(m->name_len <= 64u))
        return 0;
    return 1;
}

static inline size_t sel_pack_xfer_open(uint8_t *out, const struct sel_xfer_open *m)
{
    if (!sel_is_valid_xfer_open(m))
        return 0;
    sel_put_u32(out, m->transfer_id);
    sel_put_u64(out + 4, m->size_b);
    memcpy(out + 12, m->sha256_16, 16);
    out[28] = m->kind;
    sel_put_u16(out + 29, m->block_b);
    if (m->name_len != 0)
        memcpy(out + 31, m->name, m->name_len);
    return (size_t)31u + m->name_len;
}

static inline int sel_unpack_xfer_open(struct sel_xfer_open *m, const uint8_t *payload, size_t n)
{
    if (n < 31u || n > 95u)
        return 0;
    m->transfer_id = sel_get_u32(payload);
    m->size_b = sel_get_u64(payload + 4);
    memcpy(m->sha256_16, payload + 12, 16);
    m->kind = payload[28];
    m->block_b = sel_get_u16(payload + 29);
    m->name = payload + 31;
    m->name_len = (uint16_t)(n - 31u);
    return sel_is_valid_xfer_open(m);
}

/* One or more whole consecutive blocks; only the last of the transfer may be shorter. */
struct sel_xfer_data {
    uint32_t transfer_id;
    uint64_t offset;
    const uint8_t *data;
    uint16_t data_len;
};

static inline int sel_is_valid_xfer_data(const struct sel_xfer_data *m)
{
    if (!(m->data_len >= 1u && m->data_len <= 1012u))
        return 0;
    return 1;
}

static inline size_t sel_pack_xfer_data(uint8_t *out, const struct sel_xfer_data *m)
{
    if (!sel_is_valid_xfer_data(m))
        return 0;
    sel_put_u32(out, m->transfer_id);
    sel_put_u64(out + 4, m->offset);
    memcpy(out + 12, m->data, m->data_len);
    return (size_t)12u + m->data_len;
}

static inline int sel_unpack_xfer_data(struct sel_xfer_data *m, const uint8_t *payload, size_t n)
{
    if (n < 13u || n > 1024u)
        return 0;
    m->transfer_id = sel_get_u32(payload);
    m->offset = sel_get_u64(payload + 4);
    m->data = payload + 12;
    m->data_len = (uint16_t)(n - 12u);
    return sel_is_valid_xfer_data(m);
}

/* All bytes before `cum` are there; bit i of `bitmap` is the block i + 1 behind the one at `cum`. */
struct sel_xfer_ack {
    uint32_t transfer_id;
    uint64_t cum;
    uint32_t bitmap;
};

static inline int sel_is_valid_xfer_ack(const struct sel_xfer_ack *m)
{
    (void)m; /* every value is allowed */
    return 1;
}

static inline size_t sel_pack_xfer_ack(uint8_t *out, const struct sel_xfer_ack *m)
{
    sel_put_u32(out, m->transfer_id);
    sel_put_u64(out + 4, m->cum);
    sel_put_u32(out + 12, m->bitmap);
    return 16u;
}

static inline int sel_unpack_xfer_ack(struct sel_xfer_ack *m, const uint8_t *payload, size_t n)
{
    if (n != 16u)
        return 0;
    m->transfer_id = sel_get_u32(payload);
    m->cum = sel_get_u64(payload + 4);
    m->bitmap = sel_get_u32(payload + 12);
    return sel_is_valid_xfer_ack(m);
}

/* The receiver's verdict about the whole transfer. */
struct sel_xfer_done {
    uint32_t transfer_id;
    uint8_t status; /* enum sel_transfer_status */
    uint8_t sha256_16[16];
};

static inline int sel_is_valid_xfer_done(const struct sel_xfer_done *m)
{
    if (!(m->status <= 3u))
        return 0;
    return 1;
}

static inline size_t sel_pack_xfer_done(uint8_t *out, const struct sel_xfer_done *m)
{
    if (!sel_is_valid_xfer_done(m))
        return 0;
    sel_put_u32(out, m->transfer_id);
    out[4] = m->status;
    memcpy(out + 5, m->sha256_16, 16);
    return 21u;
}

static inline int sel_unpack_xfer_done(struct sel_xfer_done *m, const uint8_t *payload, size_t n)
{
    if (n != 21u)
        return 0;
    m->transfer_id = sel_get_u32(payload);
    m->status = payload[4];
    memcpy(m->sha256_16, payload + 5, 16);
    return sel_is_valid_xfer_done(m);
}

/* A line of text for people, UTF-8. */
struct sel_log {
    uint8_t level; /* enum sel_log_level */
    const uint8_t *text;
    uint16_t text_len;
};

static inline int sel_is_valid_log(const struct sel_log *m)
{
    if (!(m->level <= 3u))
        return 0;
    if (!(m->text_len <= 200u))
        return 0;
    return 1;
}

static inline size_t sel_pack_log(uint8_t *out, const struct sel_log *m)
{
    if (!sel_is_valid_log(m))
        return 0;
    out[0] = m->level;
    if (m->text_len != 0)
        memcpy(out + 1, m->text, m->text_len);
    return (size_t)1u + m->text_len;
}

static inline int sel_unpack_log(struct sel_log *m, const uint8_t *payload, size_t n)
{
    if (n < 1u || n > 201u)
        return 0;
    m->level = payload[0];
    m->text = payload + 1;
    m->text_len = (uint16_t)(n - 1u);
    return sel_is_valid_log(m);
}

/* A frame whose type has bit 6 set was not understood; never sent about an ERROR. */
struct sel_error {
    uint8_t type;
    uint16_t seq;
    uint8_t code; /* enum sel_error_code */
};

static inline int sel_is_valid_error(const struct sel_error *m)
{
    if (!(m->code >= 1u && m->code <= 1u))
        return 0;
    return 1;
}

static inline size_t sel_pack_error(uint8_t *out, const struct sel_error *m)
{
    if (!sel_is_valid_error(m))
        return 0;
    out[0] = m->type;
    sel_put_u16(out + 1, m->seq);
    out[3] = m->code;
    return 4u;
}

static inline int sel_unpack_error(struct sel_error *m, const uint8_t *payload, size_t n)
{
    if (n != 4u)
        return 0;
    m->type = payload[0];
    m->seq = sel_get_u16(payload + 1);
    m->code = payload[3];
    return sel_is_valid_error(m);
}

/* Returns 1 when the payload is one of that type, 0 when it is refused, -1 when the type is unknown. */
static inline int sel_payload_verdict(uint8_t type, const uint8_t *payload, size_t n)
{
    union {
        struct sel_hello hello;
        struct sel_ident ident;
        struct sel_dict_read dict_read;
        struct sel_dict_data dict_data;
        struct sel_clock_req clock_req;
        struct sel_clock_rsp clock_rsp;
        struct sel_trigger_stamp trigger_stamp;
        struct sel_ctrl_ack ctrl_ack;
        struct sel_eject_batch eject_batch;
        struct sel_eject_mask eject_mask;
        struct sel_eject_cancel eject_cancel;
        struct sel_eject_ack eject_ack;
        struct sel_eject_exc eject_exc;
        struct sel_heartbeat heartbeat;
        struct sel_status status;
        struct sel_fault fault;
        struct sel_set_state set_state;
        struct sel_cfg_set cfg_set;
        struct sel_cfg_val cfg_val;
        struct sel_selftest selftest;
        struct sel_selftest_res selftest_res;
        struct sel_feeder_set feeder_set;
        struct sel_verdict verdict;
        struct sel_xfer_open xfer_open;
        struct sel_xfer_data xfer_data;
        struct sel_xfer_ack xfer_ack;
        struct sel_xfer_done xfer_done;
        struct sel_log log;
        struct sel_error error;
    } u;

    switch (type) {
    case SEL_TYPE_HELLO:
        return sel_unpack_hello(&u.hello, payload, n);
    case SEL_TYPE_IDENT:
        return sel_unpack_ident(&u.ident, payload, n);
    case SEL_TYPE_DICT_READ:
        return sel_unpack_dict_read(&u.dict_read, payload, n);
    case SEL_TYPE_DICT_DATA:
        return sel_unpack_dict_data(&u.dict_data, payload, n);
    case SEL_TYPE_CLOCK_REQ:
        return sel_unpack_clock_req(&u.clock_req, payload, n);
    case SEL_TYPE_CLOCK_RSP:
        return sel_unpack_clock_rsp(&u.clock_rsp, payload, n);
    case SEL_TYPE_TRIGGER_STAMP:
        return sel_unpack_trigger_stamp(&u.trigger_stamp, payload, n);
    case SEL_TYPE_CTRL_ACK:
    case SEL_TYPE_CTRL_ACK | SEL_TO_HOST:
        return sel_unpack_ctrl_ack(&u.ctrl_ack, payload, n);
    case SEL_TYPE_EJECT_BATCH:
        return sel_unpack_eject_batch(&u.eject_batch, payload, n);
    case SEL_TYPE_EJECT_MASK:
        return sel_unpack_eject_mask(&u.eject_mask, payload, n);
    case SEL_TYPE_EJECT_CANCEL:
        return sel_unpack_eject_cancel(&u.eject_cancel, payload, n);
    case SEL_TYPE_EJECT_ACK:
        return sel_unpack_eject_ack(&u.eject_ack, payload, n);
    case SEL_TYPE_EJECT_EXC:
        return sel_unpack_eject_exc(&u.eject_exc, payload, n);
    case SEL_TYPE_HEARTBEAT:
        return sel_unpack_heartbeat(&u.heartbeat, payload, n);
    case SEL_TYPE_STATUS:
        return sel_unpack_status(&u.status, payload, n);
    case SEL_TYPE_FAULT:
        return sel_unpack_fault(&u.fault, payload, n);
    case SEL_TYPE_SET_STATE:
        return sel_unpack_set_state(&u.set_state, payload, n);
    case SEL_TYPE_CFG_SET:
        return sel_unpack_cfg_set(&u.cfg_set, payload, n);
    case SEL_TYPE_CFG_VAL:
        return sel_unpack_cfg_val(&u.cfg_val, payload, n);
    case SEL_TYPE_SELFTEST:
        return sel_unpack_selftest(&u.selftest, payload, n);
    case SEL_TYPE_SELFTEST_RES:
        return sel_unpack_selftest_res(&u.selftest_res, payload, n);
    case SEL_TYPE_FEEDER_SET:
        return sel_unpack_feeder_set(&u.feeder_set, payload, n);
    case SEL_TYPE_VERDICT:
    case SEL_TYPE_VERDICT | SEL_TO_HOST:
        return sel_unpack_verdict(&u.verdict, payload, n);
    case SEL_TYPE_XFER_OPEN:
    case SEL_TYPE_XFER_OPEN | SEL_TO_HOST:
        return sel_unpack_xfer_open(&u.xfer_open, payload, n);
    case SEL_TYPE_XFER_DATA:
    case SEL_TYPE_XFER_DATA | SEL_TO_HOST:
        return sel_unpack_xfer_data(&u.xfer_data, payload, n);
    case SEL_TYPE_XFER_ACK:
    case SEL_TYPE_XFER_ACK | SEL_TO_HOST:
        return sel_unpack_xfer_ack(&u.xfer_ack, payload, n);
    case SEL_TYPE_XFER_DONE:
    case SEL_TYPE_XFER_DONE | SEL_TO_HOST:
        return sel_unpack_xfer_done(&u.xfer_done, payload, n);
    case SEL_TYPE_LOG:
    case SEL_TYPE_LOG | SEL_TO_HOST:
        return sel_unpack_log(&u.log, payload, n);
    case SEL_TYPE_ERROR:
    case SEL_TYPE_ERROR | SEL_TO_HOST:
        return sel_unpack_error(&u.error, payload, n);
    default:
        return -1;
    }
}

#endif
