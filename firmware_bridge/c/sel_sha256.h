/* SHA-256 of bytes that come piece by piece.
 *
 * It must not know what is hashed or where it is kept. Nothing here allocates, recurses or keeps state of its own; 112
 * bytes of the caller hold everything between two pieces. FIPS 180-4, section 6.2.
 *
 *     struct sel_sha256 hash;
 *     sel_sha256_init(&hash);
 *     sel_sha256_add(&hash, data, n);      (any number of times)
 *     sel_sha256_digest(&hash, digest);    (the sum so far; more may be added after it)
 */
#ifndef SEL_SHA256_H
#define SEL_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SEL_SHA256_B 32
#define SEL_SHA256_BLOCK_B 64

struct sel_sha256 {
    uint64_t size_b; /* added so far */
    uint32_t state[8];
    uint8_t block[SEL_SHA256_BLOCK_B]; /* its first size_b % 64 bytes wait for the rest */
};

static inline uint32_t sel_sha256_rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32u - n);
}

/* The schedule of 64 words is kept as a ring of 16: 192 B less of a controller's stack. */
static inline void sel_sha256_compress(uint32_t *state, const uint8_t *block)
{
    static const uint32_t K[64] = {
        0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u,
        0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u,
        0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
        0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u,
        0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u,
        0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
        0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
        0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u,
    };
    uint32_t w[16], v[8];
    unsigned i;

    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    memcpy(v, state, sizeof v);
    for (i = 0; i < 64; i++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t high = sel_sha256_rotate(v[4], 6) ^ sel_sha256_rotate(v[4], 11) ^ sel_sha256_rotate(v[4], 25);
        uint32_t low = sel_sha256_rotate(v[0], 2) ^ sel_sha256_rotate(v[0], 13) ^ sel_sha256_rotate(v[0], 22);
        uint32_t first, second;

        if (i >= 16) {
            uint32_t far = w[(i + 1) & 15u], near = w[(i + 14) & 15u];

            w[i & 15u] += w[(i + 9) & 15u] + (sel_sha256_rotate(far, 7) ^ sel_sha256_rotate(far, 18) ^ far >> 3) +
                          (sel_sha256_rotate(near, 17) ^ sel_sha256_rotate(near, 19) ^ near >> 10);
        }
        first = v[7] + high + choice + K[i] + w[i & 15u];
        second = low + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += first;
        v[0] = first + second;
    }
    for (i = 0; i < 8; i++)
        state[i] += v[i];
}

static inline void sel_sha256_init(struct sel_sha256 *s)
{
    static const uint32_t START[8] = {
        0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u,
    };

    memset(s, 0, sizeof *s);
    memcpy(s->state, START, sizeof START);
}

static inline void sel_sha256_add(struct sel_sha256 *s, const uint8_t *data, size_t n)
{
    while (n != 0) {
        size_t at = (size_t)(s->size_b % SEL_SHA256_BLOCK_B);
        size_t step = SEL_SHA256_BLOCK_B - at;

        if (step > n)
            step = n;
        memcpy(s->block + at, data, step);
        s->size_b += step;
        data += step;
        n -= step;
        if (at + step == SEL_SHA256_BLOCK_B)
            sel_sha256_compress(s->state, s->block);
    }
}

/* Write the 32 bytes of the sum over everything added so far; the hash itself is left as it is. */
static inline void sel_sha256_digest(const struct sel_sha256 *s, uint8_t *out)
{
    struct sel_sha256 end = *s;
    uint64_t size_bits = s->size_b * 8u;
    size_t at = (size_t)(s->size_b % SEL_SHA256_BLOCK_B);
    size_t i;

    end.block[at++] = 0x80;
    if (at > SEL_SHA256_BLOCK_B - 8) { /* no room left for the length */
        memset(end.block + at, 0, SEL_SHA256_BLOCK_B - at);
        sel_sha256_compress(end.state, end.block);
        at = 0;
    }
    memset(end.block + at, 0, SEL_SHA256_BLOCK_B - 8 - at);
    for (i = 0; i < 8; i++)
        end.block[SEL_SHA256_BLOCK_B - 1 - i] = (uint8_t)(size_bits >> (8 * i) & 0xFFu);
    sel_sha256_compress(end.state, end.block);
    for (i = 0; i < SEL_SHA256_B; i++)
        out[i] = (uint8_t)(end.state[i / 4] >> (24 - 8 * (i % 4)) & 0xFFu);
}

#endif
