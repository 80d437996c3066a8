/* How fast the codec is alone: bytes decoded one by one and frames encoded, in seconds of this process.
 *
 *     sel_bench [megabytes]
 *
 * Prints one JSON object. The wire is single events, batches of twenty and full bodies, by equal shares of bytes.
 */
#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sel_codec.h"

#define WIRE_B (1u << 20)

static const size_t PAYLOADS_B[] = {12, 130, SEL_MAX_BODY - SEL_MIN_BODY};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fill(uint8_t *payload, size_t n, uint32_t *random)
{
    size_t i;

    for (i = 0; i < n; i++) { /* one byte in four is a zero, as in ids and ticks */
        *random = *random * 1664525u + 1013904223u;
        payload[i] = *random >> 30 == 0 ? 0 : (uint8_t)(*random >> 16);
    }
}

static size_t make_wire(uint8_t *wire)
{
    size_t spent[3] = {0, 0, 0}, at = 0, kind, n;
    uint8_t payload[SEL_MAX_BODY];
    uint32_t random = 1;
    uint16_t seq = 0;

    while (at + SEL_MAX_WIRE <= WIRE_B) {
        kind = spent[0] <= spent[1] ? (spent[0] <= spent[2] ? 0 : 2) : (spent[1] <= spent[2] ? 1 : 2);
        fill(payload, PAYLOADS_B[kind], &random);
        n = sel_encode_frame(wire + at, 0x10, 0x5A, seq++, payload, PAYLOADS_B[kind]);
        spent[kind] += n;
        at += n;
    }
    return at;
}

static double decode_rate(const uint8_t *wire, size_t n, long rounds)
{
    struct sel_decoder decoder;
    double start = seconds();
    uint32_t good = 0;
    long round;
    size_t i;

    sel_decoder_init(&decoder);
    for (round = 0; round < rounds; round++)
        for (i = 0; i < n; i++)
            good += (uint32_t)sel_decoder_push(&decoder, wire[i]);
    if (good == 0 || good != decoder.counters.good)
        abort();
    return (double)n * (double)rounds / (seconds() - start);
}

static double encode_rate(size_t payload_b, long frames)
{
    uint8_t wire[SEL_MAX_WIRE], payload[SEL_MAX_BODY];
    uint32_t random = 1;
    double start;
    long i;

    fill(payload, payload_b, &random);
    start = seconds();
    for (i = 0; i < frames; i++) {
        payload[0] = wire[1]; /* each frame needs the one before: nothing can be left out */
        if (sel_encode_frame(wire, 0x10, 0x5A, (uint16_t)i, payload, payload_b) == 0)
            abort();
    }
    return (double)frames / (seconds() - start);
}

int main(int argc, char **argv)
{
    static uint8_t wire[WIRE_B];
    long megabytes = argc > 1 ? strtol(argv[1], NULL, 10) : 32;
    size_t n = make_wire(wire);

    printf("{\"decode_bytes_per_s\": %.0f, \"encode_single_per_s\": %.0f, \"encode_batch20_per_s\": %.0f}\n",
           decode_rate(wire, n, megabytes), encode_rate(12, 40000 * megabytes), encode_rate(130, 4000 * megabytes));
    return 0;
}
