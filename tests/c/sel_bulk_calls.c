/* sel_bulk.h and sel_sha256.h as a library for the tests: payload bytes in, the answer's payload bytes out. */
#include "sel_bulk.h"

#define STORE_B (1u << 16)

struct end {
    struct sel_bulk bulk;
    uint64_t max_size_b;
    uint32_t kinds;      /* bit k: kind k is taken */
    uint32_t fail_write; /* the so manieth write from now on fails; 0: none */
    uint32_t fail_read;
    uint32_t begins;
    uint32_t writes;
    uint8_t bytes[STORE_B];
};

static uint8_t store_begin(void *ctx, const struct sel_xfer_open *open)
{
    struct end *e = ctx;

    if ((e->kinds >> open->kind & 1u) == 0)
        return SEL_TRANSFER_STATUS_REFUSED;
    if (open->size_b > e->max_size_b)
        return SEL_TRANSFER_STATUS_NO_SPACE;
    e->begins++;
    memset(e->bytes, 0xFF, sizeof e->bytes);
    return SEL_TRANSFER_STATUS_OK;
}

static int store_write(void *ctx, uint64_t offset, const uint8_t *data, size_t n)
{
    struct end *e = ctx;

    e->writes++;
    if (e->fail_write != 0 && --e->fail_write == 0)
        return 0;
    memcpy(e->bytes + offset, data, n);
    return 1;
}

static int store_read(void *ctx, uint64_t offset, uint8_t *data, size_t n)
{
    struct end *e = ctx;

    if (e->fail_read != 0 && --e->fail_read == 0)
        return 0;
    memcpy(data, e->bytes + offset, n);
    return 1;
}

size_t end_size(void);
size_t bulk_size(void);
void end_init(struct end *e, uint64_t max_size_b, uint32_t kinds);
void end_fail(struct end *e, uint32_t write, uint32_t read);
void end_corrupt(struct end *e, uint32_t at);
void end_session(struct end *e);
uint32_t end_begins(const struct end *e);
uint32_t end_writes(const struct end *e);
const uint8_t *end_bytes(const struct end *e);
int end_take(struct end *e, uint8_t type, const uint8_t *payload, size_t n, uint8_t *out, int *has_ended);
void hash_of(const uint8_t *data, size_t n, size_t step, uint8_t *out);

size_t end_size(void)
{
    return sizeof(struct end);
}

size_t bulk_size(void)
{
    return sizeof(struct sel_bulk);
}

void end_init(struct end *e, uint64_t max_size_b, uint32_t kinds)
{
    struct sel_bulk_store store = {e, store_begin, store_write, store_read};

    memset(e, 0, sizeof *e);
    e->max_size_b = max_size_b;
    e->kinds = kinds;
    sel_bulk_init(&e->bulk, &store);
}

void end_fail(struct end *e, uint32_t write, uint32_t read)
{
    e->fail_write = write;
    e->fail_read = read;
}

void end_corrupt(struct end *e, uint32_t at)
{
    e->bytes[at] ^= 1u;
}

void end_session(struct end *e)
{
    sel_bulk_end_session(&e->bulk);
}

uint32_t end_begins(const struct end *e)
{
    return e->begins;
}

uint32_t end_writes(const struct end *e)
{
    return e->writes;
}

const uint8_t *end_bytes(const struct end *e)
{
    return e->bytes;
}

/* Returns the length of the answer in `out`, its type byte first; 0 for none, -1 when the payload is refused. */
int end_take(struct end *e, uint8_t type, const uint8_t *payload, size_t n, uint8_t *out, int *has_ended)
{
    struct sel_bulk_reply reply;
    struct sel_xfer_open open;
    struct sel_xfer_data data;

    if (type == SEL_TYPE_XFER_OPEN) {
        if (!sel_unpack_xfer_open(&open, payload, n))
            return -1;
        reply = sel_bulk_on_open(&e->bulk, &open);
    } else {
        if (!sel_unpack_xfer_data(&data, payload, n))
            return -1;
        reply = sel_bulk_on_data(&e->bulk, &data);
    }
    *has_ended = reply.has_ended;
    if (reply.kind == SEL_BULK_REPLY_ACK) {
        out[0] = SEL_TYPE_XFER_ACK;
        return 1 + (int)sel_pack_xfer_ack(out + 1, &reply.ack);
    }
    if (reply.kind == SEL_BULK_REPLY_DONE) {
        out[0] = SEL_TYPE_XFER_DONE;
        return 1 + (int)sel_pack_xfer_done(out + 1, &reply.done);
    }
    return 0;
}

void hash_of(const uint8_t *data, size_t n, size_t step, uint8_t *out)
{
    struct sel_sha256 hash;

    sel_sha256_init(&hash);
    for (; n > step; n -= step, data += step) {
        sel_sha256_add(&hash, data, step);
        sel_sha256_digest(&hash, out); /* looking at the sum so far must not change it */
    }
    sel_sha256_add(&hash, data, n);
    sel_sha256_digest(&hash, out);
}
