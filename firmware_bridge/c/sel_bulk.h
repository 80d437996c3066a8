/* The receiving end of bulk transfers: keeps what came, says what is missing, checks the whole.
 *
 * It must not know frames, sessions or what the bytes are for: messages go in, the answer to each comes out, and the
 * bytes lie in a store of the caller (flash, a file). Nothing here allocates, recurses or keeps state of its own. The
 * answers are those of bulk_receiver.py. wire-protocol.md, bulk class.
 *
 *     struct sel_bulk bulk;
 *     sel_bulk_init(&bulk, &store);
 *     if (sel_unpack_xfer_data(&data, payload, n)) {
 *         struct sel_bulk_reply reply = sel_bulk_on_data(&bulk, &data);
 *         if (reply.kind == SEL_BULK_REPLY_ACK)
 *             send_ack(&reply.ack);
 *         else if (reply.kind == SEL_BULK_REPLY_DONE)
 *             send_done(&reply.done);
 *         if (reply.has_ended && reply.done.status == SEL_TRANSFER_STATUS_OK)
 *             use(&bulk);
 *     }
 */
#ifndef SEL_BULK_H
#define SEL_BULK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sel_msgs.h"
#include "sel_sha256.h"

#define SEL_BULK_AHEAD 32u  /* blocks behind a gap that are kept: the bits of XFER_ACK.bitmap */
#define SEL_BULK_NAME_B 64u /* longest name of XFER_OPEN */
#define SEL_BULK_CHUNK_B 64u
#define SEL_BULK_HASH_B 16u /* bytes of the SHA-256 that travel */

/* Where the bytes of one transfer lie. Blocks are written in any order, each once, and read back when all before them
 * are there: what is checked is what the store really holds. */
struct sel_bulk_store {
    void *ctx;
    /* Whether a transfer is taken: SEL_TRANSFER_STATUS_OK, or NO_SPACE or REFUSED, which must leave the store as it is.
     * After OK the store is to be ready for writing from byte 0 on. A transfer that is resumed does not begin again. */
    uint8_t (*begin)(void *ctx, const struct sel_xfer_open *open);
    int (*write)(void *ctx, uint64_t offset, const uint8_t *data, size_t n); /* 1: done, 0: failed */
    int (*read)(void *ctx, uint64_t offset, uint8_t *data, size_t n);        /* 1: done, 0: failed */
};

struct sel_bulk {
    struct sel_bulk_store store;
    struct sel_sha256 hash; /* over all before cum */
    uint64_t size_b;
    uint64_t cum;  /* bytes in order */
    uint64_t have; /* bit i: the block i behind the one at cum is in the store */
    uint32_t transfer_id;
    uint16_t block_b;
    uint8_t kind;
    uint8_t is_known; /* the fields below are those of a transfer */
    uint8_t is_open;  /* the sender has opened it in this session */
    uint8_t is_over;
    uint8_t status; /* when it is over: enum SEL_TRANSFER_STATUS_... */
    uint8_t name_len;
    uint8_t name[SEL_BULK_NAME_B];
    uint8_t sha256_16[SEL_BULK_HASH_B];
};

enum sel_bulk_reply_kind { SEL_BULK_REPLY_NONE, SEL_BULK_REPLY_ACK, SEL_BULK_REPLY_DONE };

struct sel_bulk_reply {
    enum sel_bulk_reply_kind kind;
    int has_ended;            /* this call ended the transfer; done.status says how */
    struct sel_xfer_ack ack;  /* for SEL_BULK_REPLY_ACK */
    struct sel_xfer_done done; /* for SEL_BULK_REPLY_DONE */
};

static inline void sel_bulk_init(struct sel_bulk *b, const struct sel_bulk_store *store)
{
    memset(b, 0, sizeof *b);
    b->store = *store;
}

/* Take no more data until the sender opens the transfer again; what is there stays. */
static inline void sel_bulk_end_session(struct sel_bulk *b)
{
    b->is_open = 0;
}

static inline void sel_bulk_end(struct sel_bulk *b, uint8_t status)
{
    b->is_over = 1;
    b->status = status;
}

static inline struct sel_bulk_reply sel_bulk_done(uint32_t transfer_id, uint8_t status, const uint8_t *sha256_16)
{
    struct sel_bulk_reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = SEL_BULK_REPLY_DONE;
    reply.done.transfer_id = transfer_id;
    reply.done.status = status;
    memcpy(reply.done.sha256_16, sha256_16, SEL_BULK_HASH_B);
    return reply;
}

static inline struct sel_bulk_reply sel_bulk_answer(const struct sel_bulk *b)
{
    struct sel_bulk_reply reply;
    uint8_t digest[SEL_SHA256_B];

    if (b->is_over) {
        sel_sha256_digest(&b->hash, digest);
        return sel_bulk_done(b->transfer_id, b->status, digest);
    }
    memset(&reply, 0, sizeof reply);
    reply.kind = SEL_BULK_REPLY_ACK;
    reply.ack.transfer_id = b->transfer_id;
    reply.ack.cum = b->cum;
    reply.ack.bitmap = (uint32_t)(b->have >> 1 & 0xFFFFFFFFu);
    return reply;
}

/* Whether this is the transfer at hand; one that failed is known under its own id only. */
static inline int sel_bulk_is_known(const struct sel_bulk *b, const struct sel_xfer_open *open)
{
    if (!b->is_known || b->size_b != open->size_b || b->block_b != open->block_b || b->kind != open->kind ||
        b->name_len != open->name_len || memcmp(b->sha256_16, open->sha256_16, SEL_BULK_HASH_B) != 0)
        return 0;
    if (open->name_len != 0 && memcmp(b->name, open->name, open->name_len) != 0)
        return 0;
    return !b->is_over || b->status == SEL_TRANSFER_STATUS_OK || (b->is_open && b->transfer_id == open->transfer_id);
}

static inline void sel_bulk_begin(struct sel_bulk *b, const struct sel_xfer_open *open)
{
    b->size_b = open->size_b;
    b->cum = 0;
    b->have = 0;
    b->block_b = open->block_b;
    b->kind = open->kind;
    b->is_known = 1;
    b->is_over = 0;
    b->name_len = (uint8_t)open->name_len;
    if (open->name_len != 0)
        memcpy(b->name, open->name, open->name_len);
    memcpy(b->sha256_16, open->sha256_16, SEL_BULK_HASH_B);
    sel_sha256_init(&b->hash);
}

/* Write the blocks of `d` that are new and not too far behind the gap. */
static inline void sel_bulk_keep(struct sel_bulk *b, const struct sel_xfer_data *d)
{
    int is_behind = d->offset < b->cum;
    uint64_t apart = is_behind ? b->cum - d->offset : d->offset - b->cum;
    uint32_t block = 0;
    size_t at = 0;

    if (d->offset > b->size_b || d->data_len > b->size_b - d->offset)
        return;
    if (d->data_len % b->block_b != 0 && d->data_len != b->size_b - d->offset)
        return;
    /* cum lies on a block while bytes are missing: the distance from it tells all, and where it matters it is small. */
    if (apart > (is_behind ? d->data_len : SEL_BULK_AHEAD * b->block_b) || (uint32_t)apart % b->block_b != 0)
        return;
    if (is_behind)
        at = (size_t)apart;
    else
        block = (uint32_t)apart / b->block_b;
    for (; at < d->data_len && block <= SEL_BULK_AHEAD; block++) {
        size_t n = d->data_len - at < b->block_b ? d->data_len - at : b->block_b;

        if ((b->have >> block & 1u) == 0) {
            if (!b->store.write(b->store.ctx, d->offset + at, d->data + at, n)) {
                sel_bulk_end(b, SEL_TRANSFER_STATUS_NO_SPACE);
                return;
            }
            b->have |= (uint64_t)1 << block;
        }
        at += n;
    }
}

/* Read back and hash what now follows without a gap. */
static inline void sel_bulk_close_gap(struct sel_bulk *b)
{
    uint8_t chunk[SEL_BULK_CHUNK_B];

    while ((b->have & 1u) != 0) {
        uint64_t left = b->size_b - b->cum;
        size_t block_b = left < b->block_b ? (size_t)left : b->block_b;

        while (block_b != 0) {
            size_t n = block_b < sizeof chunk ? block_b : sizeof chunk;

            if (!b->store.read(b->store.ctx, b->cum, chunk, n)) {
                sel_bulk_end(b, SEL_TRANSFER_STATUS_NO_SPACE);
                return;
            }
            sel_sha256_add(&b->hash, chunk, n);
            b->cum += n;
            block_b -= n;
        }
        b->have >>= 1;
    }
}

static inline void sel_bulk_finish_if_whole(struct sel_bulk *b)
{
    uint8_t digest[SEL_SHA256_B];

    if (b->is_over || b->cum < b->size_b)
        return;
    sel_sha256_digest(&b->hash, digest);
    sel_bulk_end(b, memcmp(digest, b->sha256_16, SEL_BULK_HASH_B) == 0 ? SEL_TRANSFER_STATUS_OK
                                                                        : SEL_TRANSFER_STATUS_BAD_HASH);
}

/* Begin a transfer, or go on with the one remembered when all but its id is the same. An OPEN older than the one of this
 * session is a late copy: no answer. */
static inline struct sel_bulk_reply sel_bulk_on_open(struct sel_bulk *b, const struct sel_xfer_open *open)
{
    struct sel_bulk_reply reply;
    int is_new = !sel_bulk_is_known(b, open);

    if (b->is_open && open->transfer_id - b->transfer_id >= 0x80000000u) {
        memset(&reply, 0, sizeof reply);
        return reply;
    }
    if (is_new) {
        uint8_t verdict = b->store.begin(b->store.ctx, open);

        if (verdict != SEL_TRANSFER_STATUS_OK)
            return sel_bulk_done(open->transfer_id, verdict, open->sha256_16);
        sel_bulk_begin(b, open);
        sel_bulk_finish_if_whole(b);
    }
    b->transfer_id = open->transfer_id;
    b->is_open = 1;
    reply = sel_bulk_answer(b);
    reply.has_ended = is_new && b->is_over;
    return reply;
}

/* Take blocks; no answer when they belong to no transfer opened in this session. */
static inline struct sel_bulk_reply sel_bulk_on_data(struct sel_bulk *b, const struct sel_xfer_data *d)
{
    struct sel_bulk_reply reply;
    int was_over = b->is_over;

    if (!b->is_open || d->transfer_id != b->transfer_id) {
        memset(&reply, 0, sizeof reply);
        return reply;
    }
    if (!was_over) {
        sel_bulk_keep(b, d);
        sel_bulk_close_gap(b);
        sel_bulk_finish_if_whole(b);
    }
    reply = sel_bulk_answer(b);
    reply.has_ended = !was_over && b->is_over;
    return reply;
}

#endif
