/* The reference controller lives through a script: calls come in on stdin, what it does goes out on stdout.
 *
 * So the same story can be told to a build with sanitizers, to one that counts lines, and to one with other limits. All
 * numbers are little-endian.
 *
 *     call   = op u8 | tick i64 | enc u32 | size u32 | size bytes
 *     answer = 'o' size u32, bytes                                     sent to the host
 *            | 'p' evid i64, open i64, close i64, first u16, count u16 valves planned to be open
 *            | 'c' tick i64                                            every valve closes
 *            | 't' size u32, bytes                                     a transfer has arrived
 *            | 's' state u8, feeder u16, pending u16, now i64, next i64, open u32     after I, F, A and T
 *            | 'k' size u32, bytes                                     what K and R give
 *
 * Ops: I power on (n_valves u16, slots u16, boot_id u32, uid 12, bare u8: not 0 without sensing, inspection and
 * observer, 1 also without a store), D a sensor's reading (valve u16, coil_ma u16, open_us u16), F feed, A advance,
 * T trigger (frame u32, enc u32), V a verdict of the inspection (12), P power off, K type u8 and a payload to be packed
 * again, R how many messages all of whose bytes are the one that is given cannot be packed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sel_controller.h"
#include "sel_repack.h"

#define MAX_SCRIPT (64u << 20)
#define MAX_TRANSFER_B (1u << 20) /* as in sel_lib_board.c */
#define VERDICTS 256u

struct reading {
    uint16_t coil_ma, open_us;
};

struct player {
    struct sel_controller core;
    struct sel_settings settings;
    struct sel_io io;
    struct sel_bulk_store store;
    struct reading readings[SEL_VALVES];
    struct sel_verdict verdicts[VERDICTS]; /* those from taken to given wait */
    uint32_t taken, given;
    uint8_t stored[MAX_TRANSFER_B];
};

struct call {
    uint8_t op;
    int64_t tick;
    uint32_t enc;
    size_t size;
    const uint8_t *bytes;
};

static void put(const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, stdout) != n)
        abort();
}

static void put_sized(uint8_t kind, const uint8_t *bytes, size_t n)
{
    uint8_t head[5] = {kind};

    sel_put_u32(head + 1, (uint32_t)n);
    put(head, sizeof head);
    put(bytes, n);
}

/* ---- what the core needs ---- */

static void on_send(void *ctx, const uint8_t *wire, size_t n)
{
    (void)ctx;
    put_sized('o', wire, n);
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick,
                     int64_t close_tick)
{
    uint8_t row[29] = {'p'};

    (void)ctx;
    sel_put_u64(row + 1, (uint64_t)evid);
    sel_put_u64(row + 9, (uint64_t)open_tick);
    sel_put_u64(row + 17, (uint64_t)close_tick);
    sel_put_u16(row + 25, first_valve);
    sel_put_u16(row + 27, count);
    put(row, sizeof row);
}

static void on_cut(void *ctx, int64_t tick)
{
    uint8_t row[9] = {'c'};

    (void)ctx;
    sel_put_u64(row + 1, (uint64_t)tick);
    put(row, sizeof row);
}

static void on_measure(void *ctx, uint16_t valve, uint16_t *coil_ma, uint16_t *open_us)
{
    const struct player *p = ctx;

    *coil_ma = p->readings[valve].coil_ma;
    *open_us = p->readings[valve].open_us;
}

static int on_next_verdict(void *ctx, struct sel_verdict *out)
{
    struct player *p = ctx;

    if (p->taken == p->given)
        return 0;
    *out = p->verdicts[p->taken++ % VERDICTS];
    return 1;
}

static uint8_t on_begin(void *ctx, const struct sel_xfer_open *open)
{
    (void)ctx;
    return open->size_b <= MAX_TRANSFER_B ? SEL_TRANSFER_STATUS_OK : SEL_TRANSFER_STATUS_NO_SPACE;
}

static int on_write(void *ctx, uint64_t offset, const uint8_t *data, size_t n)
{
    struct player *p = ctx;

    memcpy(p->stored + offset, data, n);
    return 1;
}

static int on_read(void *ctx, uint64_t offset, uint8_t *data, size_t n)
{
    const struct player *p = ctx;

    memcpy(data, p->stored + offset, n);
    return 1;
}

static void on_transfer(void *ctx, const struct sel_bulk *bulk)
{
    const struct player *p = ctx;

    put_sized('t', p->stored, (size_t)bulk->size_b);
}

/* ---- the calls ---- */

static void power_on(struct player *p, const uint8_t *bytes)
{
    struct sel_bulk_store store = {p, on_begin, on_write, on_read};
    struct sel_io io = {p, on_send, on_measure, on_next_verdict, &p->store, on_transfer, {p, on_pulse, on_cut}};
    struct sel_io bare = {p, on_send, NULL, NULL, NULL, NULL, {NULL, NULL, NULL}};

    memset(&p->settings, 0, sizeof p->settings);
    p->settings.n_valves = sel_get_u16(bytes);
    p->settings.slots = sel_get_u16(bytes + 2);
    p->settings.boot_id = sel_get_u32(bytes + 4);
    memcpy(p->settings.uid, bytes + 8, sizeof p->settings.uid);
    p->settings.fw_minor = 1;
    p->store = store;
    p->io = bytes[20] ? bare : io;
    p->io.store = bytes[20] == 1 ? NULL : &p->store;
    p->taken = p->given;
    sel_controller_init(&p->core, &p->settings, &p->io);
}

static void set_reading(struct player *p, const uint8_t *bytes)
{
    struct reading *reading = &p->readings[sel_get_u16(bytes)];

    reading->coil_ma = sel_get_u16(bytes + 2);
    reading->open_us = sel_get_u16(bytes + 4);
}

static void give_verdict(struct player *p, const uint8_t *bytes)
{
    if (!sel_unpack_verdict(&p->verdicts[p->given++ % VERDICTS], bytes, 12))
        abort();
}

static void repack(const struct call *call)
{
    uint8_t out[1100];

    int verdict = sel_payload_verdict(call->bytes[0], call->bytes + 1, call->size - 1);
    size_t n = sel_repack(call->bytes[0], call->bytes + 1, call->size - 1, out);

    if ((verdict == 1) != (n != 0) || (verdict == -1) != (sel_delivery_of(call->bytes[0]) == SEL_DELIVERY_NONE))
        abort();
    put_sized('k', out, n);
}

/* With every byte 0 or 0xFF no length leads to a pointer that is followed. */
static void refuse(uint8_t fill)
{
    uint8_t out[1100], refused = 0;

#define TRY(name, change)                                                                                              \
    do {                                                                                                               \
        struct sel_##name m;                                                                                           \
        size_t n;                                                                                                      \
                                                                                                                       \
        memset(&m, fill, sizeof m);                                                                                    \
        change;                                                                                                        \
        n = sel_pack_##name(out, &m);                                                                                  \
        if (n != 0 && !sel_unpack_##name(&m, out, n))                                                                  \
            abort();                                                                                                   \
        refused = (uint8_t)(refused + (n == 0));                                                                       \
    } while (0)
    TRY(hello, (void)0);
    TRY(ident, (void)0);
    TRY(dict_read, (void)0);
    TRY(dict_data, (void)0);
    TRY(clock_req, (void)0);
    TRY(clock_rsp, (void)0);
    TRY(trigger_stamp, (void)0);
    TRY(ctrl_ack, (void)0);
    TRY(eject_batch, (void)0);
    TRY(eject_batch, m.items_n = 1);
    TRY(eject_batch, (m.items_n = 1, m.items[0].first_valve = 0));
    TRY(eject_mask, (void)0);
    TRY(eject_mask, m.items_n = 1);
    TRY(eject_cancel, (void)0);
    TRY(eject_ack, (void)0);
    TRY(eject_exc, (void)0);
    TRY(eject_exc, m.reports_n = 1);
    TRY(heartbeat, (void)0);
    TRY(status, (void)0);
    TRY(fault, (void)0);
    TRY(set_state, (void)0);
    TRY(cfg_set, (void)0);
    TRY(cfg_val, (void)0);
    TRY(selftest, (void)0);
    TRY(selftest_res, (void)0);
    TRY(feeder_set, (void)0);
    TRY(verdict, (void)0);
    TRY(xfer_open, (void)0);
    TRY(xfer_open, (m.kind = 0, m.block_b = 1));
    TRY(xfer_data, (void)0);
    TRY(xfer_ack, (void)0);
    TRY(xfer_done, (void)0);
    TRY(log, (void)0);
    TRY(log, m.level = 0);
    TRY(error, (void)0);
    put_sized('k', &refused, 1);
}

static void put_state(const struct player *p)
{
    const struct sel_eject *e = &p->core.eject;
    uint32_t open = 0;
    uint8_t row[26] = {'s'};
    uint16_t valve;

    for (valve = 0; valve < 32 && valve < e->n_valves; valve++)
        open |= (uint32_t)sel_eject_is_open(e, valve, p->core.now) << valve;
    row[1] = p->core.state;
    sel_put_u16(row + 2, sel_controller_feeder(&p->core));
    sel_put_u16(row + 4, e->pending);
    sel_put_u64(row + 6, (uint64_t)p->core.now);
    sel_put_u64(row + 14, (uint64_t)sel_eject_next(e, p->core.now));
    sel_put_u32(row + 22, open);
    put(row, sizeof row);
}

static void obey(struct player *p, const struct call *call)
{
    switch (call->op) {
    case 'I':
        power_on(p, call->bytes);
        break;
    case 'D':
        set_reading(p, call->bytes);
        return;
    case 'F':
        sel_controller_feed(&p->core, call->bytes, call->size, call->tick, call->enc);
        break;
    case 'A':
        sel_controller_advance(&p->core, call->tick, call->enc);
        break;
    case 'T':
        sel_controller_trigger(&p->core, sel_get_u32(call->bytes), call->tick, call->enc,
                               sel_get_u32(call->bytes + 4));
        break;
    case 'V':
        give_verdict(p, call->bytes);
        return;
    case 'P':
        sel_controller_power_off(&p->core, call->tick, call->enc);
        return;
    case 'K':
        repack(call);
        return;
    case 'R':
        refuse(call->bytes[0]);
        return;
    default:
        abort();
    }
    put_state(p);
}

int main(void)
{
    static struct player p;
    uint8_t *script = malloc(MAX_SCRIPT);
    size_t n, at = 0;

    if (script == NULL)
        return 1;
    n = fread(script, 1, MAX_SCRIPT, stdin);
    while (at + 17 <= n) {
        const uint8_t *head = script + at;
        uint32_t size = sel_get_u32(head + 13);
        struct call call = {head[0], (int64_t)sel_get_u64(head + 1), sel_get_u32(head + 9), size, NULL};
        uint8_t *bytes = malloc(size); /* of its own, so that a sanitizer sees who reads past the end */

        if (size > n - at - 17 || (size != 0 && bytes == NULL))
            return 1;
        if (size != 0)
            memcpy(bytes, head + 17, size);
        call.bytes = bytes;
        obey(&p, &call);
        free(bytes);
        at += 17 + size;
    }
    free(script);
    return at == n ? 0 : 1;
}
