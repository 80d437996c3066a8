/* The codec over arrays, for a host that calls from another language: one call a batch, no call a frame.
 *
 * It must not know where bytes come from or go to, and it checks nothing: native_codec.py, its only caller, gives
 * arrays of one length and buffers that are large enough.
 */
#define SEL_MAX_BODY 1032 /* the longest that any controller takes */
#include "sel_codec.h"
#include "sel_msgs.h"

/* One intact frame of a batch; its payload is bytes offset..offset+length of the batch's buffer. */
struct sel_lib_row {
    int64_t offset;
    uint16_t seq, length;
    uint8_t type, epoch8;
    uint8_t unused[2];
};

/* Columns of ejections, n each. */
struct sel_lib_events {
    const uint32_t *evids, *ticks;
    const uint16_t *first_valves, *pulses_us;
    const uint8_t *valve_counts;
    size_t n;
};

size_t sel_lib_decoder_size(void)
{
    return sizeof(struct sel_decoder);
}

void sel_lib_decoder_init(struct sel_decoder *d, uint16_t max_body)
{
    sel_decoder_init(d);
    d->max_body = max_body;
}

/* Decode one chunk of a stream. `rows` holds 1 + n / 10 (ten bytes are the shortest frame; the first may have begun
 * before), `payloads` n + SEL_MAX_BODY bytes. Returns the number of frames. */
size_t sel_lib_decode(struct sel_decoder *d, const uint8_t *wire, size_t n, struct sel_lib_row *rows, uint8_t *payloads)
{
    size_t i, frames = 0, at = 0;

    for (i = 0; i < n; i++) {
        if (sel_decoder_push(d, wire[i])) {
            struct sel_frame frame = sel_decoder_frame(d);
            struct sel_lib_row *row = &rows[frames++];

            memcpy(payloads + at, frame.payload, frame.payload_len);
            memset(row, 0, sizeof *row);
            row->offset = (int64_t)at;
            row->seq = frame.seq;
            row->length = (uint16_t)frame.payload_len;
            row->type = frame.type;
            row->epoch8 = frame.epoch8;
            at += frame.payload_len;
        }
    }
    return frames;
}

/* Encode n frames whose payloads stand one after the other. `wire` holds 14 bytes a frame and the payloads. Returns
 * the wire's length. */
size_t sel_lib_encode(uint8_t *wire, uint8_t epoch8, const uint8_t *types, const uint16_t *seqs,
                      const uint16_t *lengths, const uint8_t *payloads, size_t n)
{
    size_t i, at = 0;

    for (i = 0; i < n; i++) {
        at += sel_encode_frame(wire + at, types[i], epoch8, seqs[i], payloads, lengths[i]);
        payloads += lengths[i];
    }
    return at;
}

/* How many events from `first` on fit one EJECT_BATCH: ids follow one another, times within 16 bits of the earliest. */
static size_t sel_lib_batch_events(const struct sel_lib_events *e, size_t first, size_t most, uint32_t *base_tick)
{
    uint32_t middle = 0x80000000u, low = middle, high = middle; /* ticks wrap: count from the first event */
    size_t i;

    for (i = first; i < e->n && i - first < most && e->evids[i] == (uint32_t)(e->evids[first] + (i - first)); i++) {
        uint32_t at = e->ticks[i] - e->ticks[first] + middle;
        uint32_t new_low = at < low ? at : low, new_high = at > high ? at : high;

        if (new_high - new_low > 0xFFFFu)
            break;
        low = new_low;
        high = new_high;
    }
    *base_tick = e->ticks[first] + low - middle;
    return i - first;
}

/* Encode ejections, all within their ranges, as EJECT_BATCH frames of at most `most` events. `wire` holds 30 bytes an
 * event. Returns the wire's length, and the number of frames in `frames`. */
size_t sel_lib_encode_ejects(uint8_t *wire, const struct sel_lib_events *e, size_t most, uint8_t flags, uint8_t epoch8,
                             uint16_t first_seq, size_t *frames)
{
    size_t first = 0, at = 0, n, i;
    uint8_t payload[SEL_MAX_EJECT_BATCH_B];
    struct sel_eject_batch batch;

    batch.flags = flags;
    for (*frames = 0; first < e->n; ++*frames) {
        batch.items_n = (uint8_t)sel_lib_batch_events(e, first, most, &batch.base_tick);
        batch.base_evid = e->evids[first];
        for (i = 0; i < batch.items_n; i++, first++) {
            batch.items[i].dt_ticks = (uint16_t)(e->ticks[first] - batch.base_tick);
            batch.items[i].first_valve = e->first_valves[first];
            batch.items[i].valve_count = e->valve_counts[first];
            batch.items[i].pulse_us = e->pulses_us[first];
        }
        n = sel_pack_eject_batch(payload, &batch);
        at += sel_encode_frame(wire + at, SEL_TYPE_EJECT_BATCH, epoch8, (uint16_t)(first_seq + *frames), payload, n);
    }
    return at;
}
