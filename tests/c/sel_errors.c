/* Errors of the line, one at a time, into a stream of intact frames: how many does the receiver not notice?
 *
 *     sel_errors [errors] [seed]
 *
 * The stream is 4,096 frames, few enough for a cache, with seq as their number. An error changes up to 8 neighbouring
 * bytes of one frame, its delimiter and the next frame included; a change that leaves the wire as it was is drawn
 * again. The decoder starts at the damaged frame, as it would stand there, and goes on until the first delimiter
 * behind the damage: from there on it is in step again whatever happened. An error is undetected when a frame is
 * accepted whose type, epoch8, seq or payload are not those of a frame that was sent. A frame that was sent, accepted
 * once too often or beside garbage, is no undetected error: it carries nothing false, and who must not act twice looks
 * at ids.
 *
 * Prints one JSON object: errors and undetected ones of each kind; how many errors left an accepted frame, and how many
 * nothing but the CRC could see.
 */
#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sel_codec.h"

#define FRAMES 4096u
#define MAX_DAMAGE 8u /* shorter than the shortest frame: the delimiter of the next frame is never reached */

enum kind { FLIP_ONE, FLIP_SEVERAL, BURST, DROP, INSERT, SWAP, MOVE_DELIMITER, OVERWRITE, KINDS };

static const char *const NAMES[KINDS] = {"flip_one", "flip_several", "burst",          "drop",
                                         "insert",   "swap",         "move_delimiter", "overwrite"};

struct sent {
    uint32_t start; /* of its wire */
    uint16_t body_b;
    uint8_t type, epoch8;
};

struct damaged {
    uint8_t bytes[2 * SEL_MAX_WIRE + MAX_DAMAGE];
    size_t n, clean_from; /* bytes from here on are as they were sent */
};

static uint8_t wire[(FRAMES + 1u) * SEL_MAX_WIRE];
static uint8_t payloads[FRAMES][SEL_MAX_BODY - SEL_MIN_BODY];
static struct sent sent[FRAMES + 2u];
static uint64_t state;

static uint64_t draw(void) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static size_t below(size_t limit)
{
    return (size_t)((draw() >> 32) * limit >> 32);
}

/* Most frames of a link are short; one in 50 is as long as a batch of twenty, one in 200 as long as any. None is empty,
 * as no message of SEL/1 is: eight bytes 0xFF, and no other such run, are an intact frame without a payload. */
static size_t payload_size(void)
{
    size_t which = below(200);

    return which == 0 ? 240 + below(17) : which < 5 ? 130 : which < 35 ? 21 + below(40) : 1 + below(20);
}

static void make_stream(void)
{
    uint32_t at = 0, i;
    size_t n, k;

    for (i = 0; i <= FRAMES; i++) {
        uint32_t number = i % FRAMES; /* the frame behind the last is the first */
        struct sent *frame = &sent[i];

        if (i < FRAMES) {
            n = payload_size();
            frame->type = (uint8_t)below(256);
            frame->epoch8 = (uint8_t)below(256);
            for (k = 0; k < n; k++)
                payloads[i][k] = (uint8_t)(below(4) ? below(256) : 0);
            frame->body_b = (uint16_t)(n + SEL_MIN_BODY);
        } else {
            *frame = sent[number];
        }
        frame->start = at;
        at += (uint32_t)sel_encode_frame(wire + at, frame->type, frame->epoch8, (uint16_t)number, payloads[number],
                                         (size_t)frame->body_b - SEL_MIN_BODY);
    }
    sent[FRAMES + 1u].start = at;
}

static void flip(struct damaged *d, size_t bit)
{
    d->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void cut(struct damaged *d, size_t at, size_t n)
{
    memmove(d->bytes + at, d->bytes + at + n, d->n - at - n);
    d->n -= n;
}

static void insert(struct damaged *d, size_t at, size_t n)
{
    memmove(d->bytes + at + n, d->bytes + at, d->n - at);
    d->n += n;
    while (n-- > 0)
        d->bytes[at + n] = (uint8_t)(below(4) ? below(256) : 0);
}

/* Damage up to MAX_DAMAGE bytes from `at` on; `end` is just behind the frame's delimiter. */
static void damage(struct damaged *d, enum kind kind, size_t at, size_t end)
{
    size_t span = 1 + below(MAX_DAMAGE), i, first = below(8), bits;
    uint8_t byte;

    d->clean_from = at + span;
    switch (kind) {
    case FLIP_ONE:
        d->clean_from = at + 1;
        flip(d, 8 * at + first);
        break;
    case FLIP_SEVERAL:
        for (i = 2 + below(7); i > 0; i--)
            flip(d, 8 * at + below(8 * span));
        break;
    case BURST: /* first and last bit wrong, those between by chance */
        d->clean_from = at + MAX_DAMAGE;
        bits = 2 + below(8 * MAX_DAMAGE - 1 - first);
        flip(d, 8 * at + first);
        flip(d, 8 * at + first + bits - 1);
        for (i = 1; i + 1 < bits; i++)
            if (draw() >> 63)
                flip(d, 8 * at + first + i);
        break;
    case DROP:
        d->clean_from = at;
        cut(d, at, span);
        break;
    case INSERT:
        insert(d, at, span);
        break;
    case SWAP: /* two bytes */
        byte = d->bytes[at];
        d->bytes[at] = d->bytes[at + span - 1];
        d->bytes[at + span - 1] = byte;
        break;
    case MOVE_DELIMITER: /* up to MAX_DAMAGE - 1 bytes to either side */
        cut(d, end - 1, 1);
        at = draw() >> 63 ? end - 1 - (span - 1) : end - 1 + (span - 1);
        insert(d, at, 1);
        d->bytes[at] = 0;
        d->clean_from = at < end ? end : at + 1;
        break;
    case OVERWRITE: /* with one byte, as a stuck line does */
    default:
        memset(d->bytes + at, (int)(below(4) ? below(256) : 0), span);
    }
}

static int is_false(struct sel_frame frame)
{
    const struct sent *s = &sent[frame.seq % FRAMES];

    return frame.seq >= FRAMES || frame.type != s->type || frame.epoch8 != s->epoch8 ||
           frame.payload_len + SEL_MIN_BODY != s->body_b ||
           memcmp(frame.payload, payloads[frame.seq], frame.payload_len) != 0;
}

/* Errors that left an accepted frame, and those that were well-formed but for the CRC. */
static uint64_t left_a_frame, left_to_crc;

/* Returns whether a frame was accepted that was not sent. */
static int is_undetected(const struct damaged *d)
{
    struct sel_decoder decoder;
    int is_wrong = 0;
    size_t i;

    decoder.max_body = SEL_MAX_BODY; /* what init sets, without clearing the body each time */
    decoder.wire_len = decoder.len = decoder.frame_len = 0;
    decoder.left = decoder.owes_zero = 0;
    memset(&decoder.counters, 0, sizeof decoder.counters);
    for (i = 0;; i++) {
        if (sel_decoder_push(&decoder, d->bytes[i]))
            is_wrong |= is_false(sel_decoder_frame(&decoder));
        if (d->bytes[i] == 0 && i >= d->clean_from)
            break;
        if (i + 1 == d->n)
            abort(); /* the delimiter of the frame behind cannot be gone */
    }
    left_a_frame += decoder.counters.good != 0;
    left_to_crc += decoder.counters.crc_err != 0 || is_wrong;
    return is_wrong;
}

/* Inject one error of that kind. */
static int inject(enum kind kind)
{
    uint32_t number = (uint32_t)below(FRAMES);
    size_t start = sent[number].start, own_b = sent[number + 1u].start - start, n = sent[number + 2u].start - start;
    struct damaged d;

    do {
        memcpy(d.bytes, wire + start, n);
        d.n = n;
        damage(&d, kind, below(own_b), own_b);
    } while (d.n == n && memcmp(d.bytes, wire + start, n) == 0);
    return is_undetected(&d);
}

int main(int argc, char **argv)
{
    uint64_t errors = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000, undetected[KINDS] = {0}, injected[KINDS] = {0};
    uint64_t i, all = 0;
    struct timespec end;
    unsigned kind;

    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    make_stream();
    for (i = 0; i < errors; i++) {
        kind = (unsigned)(i % KINDS);
        injected[kind]++;
        undetected[kind] += (uint64_t)inject((enum kind)kind);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("{\"kinds\": {");
    for (kind = 0; kind < KINDS; kind++) {
        printf("%s\"%s\": {\"injected\": %llu, \"undetected\": %llu}", kind ? ", " : "", NAMES[kind],
               (unsigned long long)injected[kind], (unsigned long long)undetected[kind]);
        all += undetected[kind];
    }
    printf("}, \"injected\": %llu, \"undetected\": %llu, ", (unsigned long long)errors, (unsigned long long)all);
    printf("\"left_a_frame\": %llu, \"left_to_crc\": %llu, \"cpu_s\": %.3f}\n", (unsigned long long)left_a_frame,
           (unsigned long long)left_to_crc, (double)end.tv_sec + 1e-9 * (double)end.tv_nsec);
    return 0;
}
