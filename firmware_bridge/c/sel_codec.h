/* SEL/1 frames: bodies to wire bytes and back.
 *
 *     wire = COBS(body) 0x00
 *     body = type u8 | epoch8 u8 | seq u16 | payload | CRC-32 u32        little-endian
 *
 * It must not know any message, any clock or any port: bytes go in, intact frames come out. Nothing here allocates,
 * recurses or keeps state of its own; all state is in a struct of the caller, so one program can serve several ports.
 * Verdicts and counters are those of framing.py for every byte stream. wire-protocol.md section 2.
 *
 *     struct sel_decoder decoder;
 *     sel_decoder_init(&decoder);
 *     while (read_byte(&byte))
 *         if (sel_decoder_push(&decoder, byte)) {
 *             struct sel_frame frame = sel_decoder_frame(&decoder);
 *             handle(frame.type, frame.payload, frame.payload_len);
 *         }
 */
#ifndef SEL_CODEC_H
#define SEL_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef SEL_MAX_BODY
#define SEL_MAX_BODY 264 /* header + payload + CRC; static receive buffer of a controller */
#endif
#define SEL_MIN_BODY 8 /* header and CRC around an empty payload */
#define SEL_MAX_WIRE (SEL_MAX_BODY + SEL_MAX_BODY / 254 + 2) /* one code byte a full run and one more, delimiter */

#if SEL_MAX_BODY < SEL_MIN_BODY || SEL_MAX_BODY > 65000
#error "SEL_MAX_BODY must be 8..65000: lengths are kept in 16 bits"
#endif

#define SEL_CRC_RESIDUE 0x2144DF1Cu /* CRC-32 over data followed by its own little-endian CRC-32 */
#define SEL_FULL_CODE 0xFFu         /* a run of 254 bytes that no zero follows */

static inline uint16_t sel_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static inline uint32_t sel_get_u32(const uint8_t *p)
{
    return sel_get_u16(p) | (uint32_t)sel_get_u16(p + 2) << 16;
}

static inline uint64_t sel_get_u64(const uint8_t *p)
{
    return sel_get_u32(p) | (uint64_t)sel_get_u32(p + 4) << 32;
}

static inline void sel_put_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value & 0xFFu);
    p[1] = (uint8_t)(value >> 8);
}

static inline void sel_put_u32(uint8_t *p, uint32_t value)
{
    sel_put_u16(p, (uint16_t)(value & 0xFFFFu));
    sel_put_u16(p + 2, (uint16_t)(value >> 16));
}

static inline void sel_put_u64(uint8_t *p, uint64_t value)
{
    sel_put_u32(p, (uint32_t)(value & 0xFFFFFFFFu));
    sel_put_u32(p + 4, (uint32_t)(value >> 32));
}

/* CRC-32/ISO-HDLC as zlib has it: start with 0, the result of one piece is the start of the next. A table of 16 entries
 * instead of 256 costs half the speed and saves 960 B of a controller's flash. */
static inline uint32_t sel_crc32(uint32_t crc, const uint8_t *data, size_t n)
{
    static const uint32_t NIBBLES[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    size_t i;

    crc = ~crc;
    for (i = 0; i < n; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ NIBBLES[crc & 15u];
        crc = crc >> 4 ^ NIBBLES[crc & 15u];
    }
    return ~crc;
}

/* ---- sending ---- */

struct sel_stuffer {
    uint8_t *out;
    size_t at;      /* where the next byte goes */
    size_t code_at; /* where the code byte of the open run stands */
    uint8_t code;   /* bytes of the open run, plus one */
};

static inline void sel_stuff(struct sel_stuffer *s, const uint8_t *data, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        int is_full = s->code == SEL_FULL_CODE; /* only now is it known that the full run does not end the data */

        if (is_full || data[i] == 0) {
            s->out[s->code_at] = s->code;
            s->code_at = s->at++;
            s->code = 1;
        }
        if (data[i] != 0) {
            s->out[s->at++] = data[i];
            s->code++;
        } else if (is_full) { /* the full run stood for no zero */
            s->out[s->code_at] = 1;
            s->code_at = s->at++;
        }
    }
}

/* Write one frame to `out`, which holds SEL_MAX_WIRE bytes and is apart from `payload`.
 * Returns its length, delimiter included; 0 when the body would exceed SEL_MAX_BODY. */
static inline size_t sel_encode_frame(uint8_t *out, uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload,
                                      size_t n)
{
    struct sel_stuffer s = {out, 1, 0, 1};
    uint8_t ends[4];
    uint32_t crc;

    if (n > SEL_MAX_BODY - SEL_MIN_BODY)
        return 0;
    ends[0] = type;
    ends[1] = epoch8;
    sel_put_u16(ends + 2, seq);
    crc = sel_crc32(sel_crc32(0, ends, sizeof ends), payload, n);
    sel_stuff(&s, ends, sizeof ends);
    sel_stuff(&s, payload, n);
    sel_put_u32(ends, crc);
    sel_stuff(&s, ends, sizeof ends);
    out[s.code_at] = s.code;
    out[s.at++] = 0;
    return s.at;
}

/* ---- receiving ---- */

/* Each delimited piece that is not empty counts in exactly one. */
struct sel_counters {
    uint32_t good, cobs_err, crc_err, len_err, overflow;
};

struct sel_decoder {
    struct sel_counters counters;
    uint16_t wire_len;  /* bytes of the open piece; stays at SEL_MAX_WIRE, which is too long */
    uint16_t len;       /* its decoded bytes, more than SEL_MAX_BODY of which are counted only */
    uint16_t max_body;  /* a longer body is refused; the owner may lower it */
    uint16_t frame_len; /* body of the last intact frame */
    uint8_t left;       /* bytes until the next code byte */
    uint8_t owes_zero;  /* the run stands for a zero, unless the piece ends with it */
    uint8_t body[SEL_MAX_BODY];
};

struct sel_frame {
    uint8_t type, epoch8;
    uint16_t seq;
    const uint8_t *payload;
    size_t payload_len;
};

static inline void sel_decoder_init(struct sel_decoder *d)
{
    memset(d, 0, sizeof *d);
    d->max_body = SEL_MAX_BODY;
}

static inline void sel_decoder_store(struct sel_decoder *d, uint8_t byte)
{
    if (d->len < SEL_MAX_BODY)
        d->body[d->len] = byte;
    d->len++;
}

/* Judge the piece that a delimiter ended: the only place where a frame is accepted. */
static inline int sel_decoder_judge(struct sel_decoder *d)
{
    if (d->wire_len > d->max_body + d->max_body / 254 + 1) {
        d->counters.overflow++;
    } else if (d->left != 0) {
        d->counters.cobs_err++;
    } else if (d->len < SEL_MIN_BODY || d->len > d->max_body) {
        d->counters.len_err++;
    } else if (sel_crc32(0, d->body, d->len) != SEL_CRC_RESIDUE) {
        d->counters.crc_err++;
    } else {
        d->counters.good++;
        d->frame_len = d->len;
        return 1;
    }
    return 0;
}

/* Take one byte of the stream. Returns 1 when it completed an intact frame, else 0. */
static inline int sel_decoder_push(struct sel_decoder *d, uint8_t byte)
{
    int is_intact = 0;

    if (byte == 0) {
        if (d->wire_len != 0)
            is_intact = sel_decoder_judge(d);
        d->wire_len = 0;
        d->len = 0;
        d->left = 0;
        d->owes_zero = 0;
    } else if (d->wire_len < SEL_MAX_WIRE) {
        d->wire_len++;
        if (d->left != 0) {
            d->left--;
            sel_decoder_store(d, byte);
        } else {
            if (d->owes_zero)
                sel_decoder_store(d, 0);
            d->left = (uint8_t)(byte - 1u);
            d->owes_zero = byte != SEL_FULL_CODE;
        }
    }
    return is_intact;
}

/* The frame that the last push completed; its payload is valid until the next push. */
static inline struct sel_frame sel_decoder_frame(const struct sel_decoder *d)
{
    struct sel_frame frame;

    frame.type = d->body[0];
    frame.epoch8 = d->body[1];
    frame.seq = sel_get_u16(d->body + 2);
    frame.payload = d->body + 4;
    frame.payload_len = (size_t)d->frame_len - SEL_MIN_BODY;
    return frame;
}

#endif
