/* Hostile bytes against the codec: what must hold for every input. A broken law aborts.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I ../../firmware_bridge/c sel_fuzz.c     libFuzzer
 *     afl-clang-fast -g -O1 -fsanitize=fuzzer -I ../../firmware_bridge/c sel_fuzz.c              AFL++
 *     cc -DSEL_FUZZ_MAIN -I ../../firmware_bridge/c sel_fuzz.c && ./a.out 100000 7               inputs, seed
 *
 * The program of its own mutates streams of frames and prints as JSON what the decoder said to them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sel_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct sel_counters seen; /* over all inputs: shows whether the mutator reaches every verdict */

#define LAW(holds)                                                                                                     \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds);                                        \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static int is_same_frame(struct sel_frame a, struct sel_frame b)
{
    return a.type == b.type && a.epoch8 == b.epoch8 && a.seq == b.seq && a.payload_len == b.payload_len &&
           memcmp(a.payload, b.payload, a.payload_len) == 0;
}

static uint64_t pieces_of(struct sel_counters c)
{
    return (uint64_t)c.good + c.cobs_err + c.crc_err + c.len_err + c.overflow;
}

/* What is encoded has no zero but the last byte, fits the wire, and decodes to itself by its last byte. */
static void check_round_trip(struct sel_frame frame)
{
    struct sel_decoder decoder;
    uint8_t wire[SEL_MAX_WIRE];
    size_t i, n = sel_encode_frame(wire, frame.type, frame.epoch8, frame.seq, frame.payload, frame.payload_len);

    LAW(n >= SEL_MIN_BODY + 2 && n <= SEL_MAX_WIRE);
    LAW(memchr(wire, 0, n) == wire + n - 1);
    sel_decoder_init(&decoder);
    for (i = 0; i < n; i++)
        LAW(sel_decoder_push(&decoder, wire[i]) == (i == n - 1));
    LAW(is_same_frame(frame, sel_decoder_frame(&decoder)));
}

/* Every delimited piece that is not empty counts once; what is accepted is a frame; a lower limit accepts no more. */
static void check_stream(const uint8_t *data, size_t n)
{
    struct sel_decoder decoder, strict;
    uint64_t pieces = 0;
    size_t i, len = 0;

    sel_decoder_init(&decoder);
    sel_decoder_init(&strict);
    strict.max_body = (uint16_t)(SEL_MIN_BODY + (n != 0 ? data[n / 2] : 0u));
    for (i = 0; i < n; i++) {
        int is_intact = sel_decoder_push(&decoder, data[i]), is_taken = sel_decoder_push(&strict, data[i]);

        pieces += data[i] == 0 && len != 0;
        len = data[i] == 0 ? 0 : len + 1;
        LAW(pieces_of(decoder.counters) == pieces && pieces_of(strict.counters) == pieces);
        LAW(is_intact || !is_taken);
        if (is_intact) {
            check_round_trip(sel_decoder_frame(&decoder));
            LAW(is_taken == (sel_decoder_frame(&decoder).payload_len + SEL_MIN_BODY <= strict.max_body));
        }
        if (is_taken)
            LAW(is_same_frame(sel_decoder_frame(&decoder), sel_decoder_frame(&strict)));
    }
    seen.good += decoder.counters.good;
    seen.cobs_err += decoder.counters.cobs_err;
    seen.crc_err += decoder.counters.crc_err;
    seen.len_err += decoder.counters.len_err;
    seen.overflow += decoder.counters.overflow;
}

/* Any bytes that fit are a payload; more are refused. */
static void check_sender(const uint8_t *data, size_t n)
{
    uint8_t wire[SEL_MAX_WIRE], word[8];
    struct sel_frame frame = {0, 0, 0, data, n};

    if (n > SEL_MAX_BODY - SEL_MIN_BODY) {
        LAW(sel_encode_frame(wire, 1, 1, 1, data, n) == 0);
    } else if (n >= 8) {
        frame.type = data[0];
        frame.epoch8 = data[1];
        frame.seq = sel_get_u16(data + 2);
        sel_put_u64(word, sel_get_u64(data));
        LAW(memcmp(word, data, 8) == 0);
        check_round_trip(frame);
    }
}

/* The input as garbage over a few bytes of the second of four frames costs at most the second and the third. */
static void check_garbage(const uint8_t *data, size_t n)
{
    static const uint8_t PAYLOAD[12] = {0xE8, 3, 0, 0, 0, 0x24, 0xF4, 0, 0x20, 0x11, 0xDC, 5};
    size_t starts[5] = {0}, at, gone, i, frames = 0;
    uint8_t wire[4 * SEL_MAX_WIRE];
    struct sel_frame last = {0};
    struct sel_decoder decoder;

    for (i = 0; i < 4; i++) {
        at = sel_encode_frame(wire + starts[i], 0x90, 0x5A, (uint16_t)i, PAYLOAD, sizeof PAYLOAD);
        starts[i + 1] = starts[i] + at;
    }
    at = starts[1] + (n > 0 ? data[0] : 0u) % (starts[2] - starts[1]);
    gone = (n > 1 ? data[1] : 0u) % (starts[2] - at + 1);
    sel_decoder_init(&decoder);
    for (i = 0; i < at + n + (starts[4] - at - gone); i++) {
        uint8_t byte = i < at ? wire[i] : i < at + n ? data[i - at] : wire[i - n + gone];

        if (sel_decoder_push(&decoder, byte)) {
            last = sel_decoder_frame(&decoder);
            frames++;
            LAW(frames > 1 || (i == starts[1] - 1 && last.seq == 0));
        }
    }
    LAW(frames >= 2 && last.seq == 3);
    LAW(last.payload_len == sizeof PAYLOAD && memcmp(last.payload, PAYLOAD, sizeof PAYLOAD) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    check_stream(data, n);
    check_sender(data, n);
    check_garbage(data, n);
    return 0;
}

#ifdef SEL_FUZZ_MAIN

#define POOL 64
#define INPUT_B 1500

struct input {
    uint8_t bytes[INPUT_B];
    size_t n;
};

static uint64_t state;

static size_t below(size_t limit)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u; /* splitmix64 (Steele, Lea, Flood 2014) */

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (size_t)((z ^ z >> 31) % limit);
}

/* Lengths near which something changes: empty, full runs, the limits of body and wire. */
static size_t edgy(void)
{
    static const size_t EDGES[] = {0, 1, 4, 12, 130, 244, 246, 254, 255, SEL_MAX_BODY - SEL_MIN_BODY, SEL_MAX_WIRE};

    return EDGES[below(sizeof EDGES / sizeof *EDGES)] + below(3);
}

static void append(struct input *in, const uint8_t *bytes, size_t n)
{
    n = n < INPUT_B - in->n ? n : INPUT_B - in->n;
    memcpy(in->bytes + in->n, bytes, n);
    in->n += n;
}

static void append_seed(struct input *in)
{
    uint8_t wire[SEL_MAX_WIRE], run[SEL_MAX_WIRE + 4];
    size_t i, n = edgy(), has_zeros = below(2);

    for (i = 0; i < n; i++)
        run[i] = (uint8_t)(has_zeros && below(4) == 0 ? 0 : 1 + below(255));
    if (below(3) != 0) {
        n = sel_encode_frame(wire, (uint8_t)below(256), (uint8_t)below(256), (uint16_t)below(65536), run, n);
        append(in, wire, n);
    } else { /* one code for all: 1 is a zero a byte, 0xFF a full run */
        memset(run, below(2) ? 1 : (int)(1 + below(255)), n);
        run[0] = below(2) ? 0xFF : run[0];
        run[n] = 0;
        append(in, run, n + 1);
    }
}

static void mutate(struct input *in, const struct input *other)
{
    size_t at = below(in->n), n = 1 + below(below(4) ? 4 : 64), to = below(in->n), from = below(other->n);

    n = n < in->n - at ? n : in->n - at;
    switch (below(7)) {
    case 0:
        in->bytes[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        memset(in->bytes + at, 0, n);
        break;
    case 2:
        while (n-- > 0)
            in->bytes[at + n] = (uint8_t)below(256);
        break;
    case 3: /* delete, but never all */
        n = n < in->n ? n : in->n - 1;
        memmove(in->bytes + at, in->bytes + at + n, in->n - at - n);
        in->n -= n;
        break;
    case 4: /* insert */
        if (in->n < INPUT_B) {
            memmove(in->bytes + at + 1, in->bytes + at, in->n - at);
            in->bytes[at] = (uint8_t)(below(2) ? below(256) : 0);
            in->n++;
        }
        break;
    case 5: /* splice */
        in->n = at + 1;
        append(in, other->bytes + from, other->n - from);
        break;
    default: /* duplicate a part over another */
        n = n < in->n - to ? n : in->n - to;
        memmove(in->bytes + to, in->bytes + at, n);
    }
}

int main(int argc, char **argv)
{
    static struct input pool[POOL];
    long i, inputs = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    size_t seeds, changes;
    struct input in;

    state = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    for (i = 0; i < inputs; i++) {
        struct input *slot = &pool[below(POOL)];

        if (slot->n == 0 || below(8) == 0) {
            slot->n = 0;
            for (seeds = 1 + below(5); seeds > 0; seeds--)
                append_seed(slot);
            append(slot, (const uint8_t *)"", 1); /* never empty */
        }
        in = *slot;
        for (changes = below(6); changes > 0; changes--) {
            const struct input *other = &pool[below(POOL)];

            mutate(&in, other->n != 0 ? other : slot);
        }
        LLVMFuzzerTestOneInput(in.bytes, in.n);
        if (below(4) == 0)
            *slot = in;
    }
    LLVMFuzzerTestOneInput(NULL, 0);
    printf("{\"inputs\": %ld, \"good\": %lu, \"cobs_err\": %lu, ", inputs, (unsigned long)seen.good,
           (unsigned long)seen.cobs_err);
    printf("\"crc_err\": %lu, \"len_err\": %lu, \"overflow\": %lu}\n", (unsigned long)seen.crc_err,
           (unsigned long)seen.len_err, (unsigned long)seen.overflow);
    return 0;
}

#endif
