/* The reference controller in memory, for a simulation that calls from another language in any time it likes.
 *
 * It must not know clocks or ports: native_board.py, its only caller, brings bytes and ticks and takes bytes and pulses.
 */
#define SEL_MAX_BODY 1032
#define SEL_VALVES 4096
#include "sel_controller.h"

#define OUTPUT_LIMIT (1u << 20) /* nobody reads: drop rather than grow without end */
#define MAX_RECORDS (33u * SEL_SLOTS) /* SEL_SLOTS events of at most 32 runs each, and some to spare */
#define VERDICTS 16u
#define MAX_TRANSFER_B (1u << 20)

/* One thing the recorder has to know; close_tick alone for a cut. */
struct sel_lib_record {
    int64_t evid, open_tick, close_tick;
    uint16_t first_valve, count; /* count 0: everything closes at close_tick */
    uint8_t unused[4];
};

struct sel_lib_reading {
    uint16_t coil_ma, open_us;
};

typedef void sel_lib_on_transfer(uint8_t kind, const uint8_t *name, size_t name_len, const uint8_t *data, size_t n);

struct sel_lib_board {
    struct sel_controller core;
    struct sel_settings settings;
    struct sel_io io;
    struct sel_bulk_store store;
    sel_lib_on_transfer *on_transfer;
    struct sel_lib_reading readings[SEL_VALVES];
    struct sel_verdict verdicts[VERDICTS];
    uint32_t verdicts_at, verdicts_n;
    uint32_t n_records;
    size_t n_output;
    struct sel_lib_record records[MAX_RECORDS];
    uint8_t output[OUTPUT_LIMIT + SEL_MAX_WIRE];
    uint8_t stored[MAX_TRANSFER_B];
};

static void on_send(void *ctx, const uint8_t *wire, size_t n)
{
    struct sel_lib_board *board = ctx;

    if (board->n_output < OUTPUT_LIMIT) {
        memcpy(board->output + board->n_output, wire, n);
        board->n_output += n;
    }
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick,
                     int64_t close_tick)
{
    struct sel_lib_board *board = ctx;
    struct sel_lib_record record = {evid, open_tick, close_tick, first_valve, count, {0}};

    if (board->n_records < MAX_RECORDS) /* more only where the bytes of one call arm, fire and stop again and again */
        board->records[board->n_records++] = record;
}

static void on_cut(void *ctx, int64_t tick)
{
    on_pulse(ctx, 0, 0, 0, 0, tick);
}

static void on_measure(void *ctx, uint16_t valve, uint16_t *coil_ma, uint16_t *open_us)
{
    const struct sel_lib_board *board = ctx;

    *coil_ma = board->readings[valve].coil_ma;
    *open_us = board->readings[valve].open_us;
}

static int on_next_verdict(void *ctx, struct sel_verdict *out)
{
    struct sel_lib_board *board = ctx;

    if (board->verdicts_n == 0)
        return 0;
    *out = board->verdicts[board->verdicts_at % VERDICTS];
    board->verdicts_at++;
    board->verdicts_n--;
    return 1;
}

static uint8_t on_begin(void *ctx, const struct sel_xfer_open *open)
{
    (void)ctx;
    return open->size_b <= MAX_TRANSFER_B ? SEL_TRANSFER_STATUS_OK : SEL_TRANSFER_STATUS_NO_SPACE;
}

static int on_write(void *ctx, uint64_t offset, const uint8_t *data, size_t n)
{
    struct sel_lib_board *board = ctx;

    memcpy(board->stored + offset, data, n);
    return 1;
}

static int on_read(void *ctx, uint64_t offset, uint8_t *data, size_t n)
{
    const struct sel_lib_board *board = ctx;

    memcpy(data, board->stored + offset, n);
    return 1;
}

static void on_transfer(void *ctx, const struct sel_bulk *bulk)
{
    const struct sel_lib_board *board = ctx;

    board->on_transfer(bulk->kind, bulk->name, bulk->name_len, board->stored, (size_t)bulk->size_b);
}

size_t sel_lib_board_size(void)
{
    return sizeof(struct sel_lib_board);
}

/* Power on, the first time and after sel_lib_board_power_off. */
void sel_lib_board_init(struct sel_lib_board *board, uint16_t n_valves, uint16_t slots, uint32_t boot_id,
                        const uint8_t *uid, sel_lib_on_transfer *transfer)
{
    struct sel_bulk_store store = {board, on_begin, on_write, on_read};
    struct sel_io io = {board,       on_send, on_measure, on_next_verdict, &board->store,
                        on_transfer, {board, on_pulse, on_cut}};

    memset(&board->settings, 0, sizeof board->settings);
    board->settings.n_valves = n_valves;
    board->settings.slots = slots;
    board->settings.boot_id = boot_id;
    memcpy(board->settings.uid, uid, sizeof board->settings.uid);
    board->settings.fw_minor = 1;
    board->io = io;
    board->store = store;
    board->on_transfer = transfer;
    board->verdicts_at = board->verdicts_n = 0;
    board->n_output = 0;
    sel_controller_init(&board->core, &board->settings, &board->io);
}

void sel_lib_board_set_reading(struct sel_lib_board *board, uint16_t valve, uint16_t coil_ma, uint16_t open_us)
{
    board->readings[valve].coil_ma = coil_ma;
    board->readings[valve].open_us = open_us;
}

void sel_lib_board_feed(struct sel_lib_board *board, const uint8_t *data, size_t n, int64_t now, uint32_t enc)
{
    sel_controller_feed(&board->core, data, n, now, enc);
}

void sel_lib_board_advance(struct sel_lib_board *board, int64_t now, uint32_t enc)
{
    sel_controller_advance(&board->core, now, enc);
}

void sel_lib_board_trigger(struct sel_lib_board *board, uint32_t frame_no, int64_t now, uint32_t enc,
                           uint32_t stamp_enc)
{
    sel_controller_trigger(&board->core, frame_no, now, enc, stamp_enc);
}

void sel_lib_board_power_off(struct sel_lib_board *board, int64_t now, uint32_t enc)
{
    sel_controller_power_off(&board->core, now, enc);
}

/* 1 when taken, 0 when it has to wait for a later call. */
int sel_lib_board_push_verdict(struct sel_lib_board *board, uint32_t object_id, uint16_t class_id, uint8_t confidence,
                               uint8_t source, uint32_t tick)
{
    struct sel_verdict verdict = {object_id, class_id, confidence, source, tick};

    if (board->verdicts_n == VERDICTS)
        return 0;
    board->verdicts[(board->verdicts_at + board->verdicts_n++) % VERDICTS] = verdict;
    return 1;
}

/* The bytes for the host since the last call; valid until the next call of any kind. */
size_t sel_lib_board_take_output(struct sel_lib_board *board, const uint8_t **output)
{
    size_t n = board->n_output;

    *output = board->output;
    board->n_output = 0;
    return n;
}

/* What the recorder has to know since the last call, in order; valid until the next call of any kind. */
size_t sel_lib_board_take_records(struct sel_lib_board *board, const struct sel_lib_record **records)
{
    size_t n = board->n_records;

    *records = board->records;
    board->n_records = 0;
    return n;
}

uint32_t sel_lib_board_state(const struct sel_lib_board *board)
{
    return board->core.state;
}

uint32_t sel_lib_board_feeder(const struct sel_lib_board *board)
{
    return sel_controller_feeder(&board->core);
}

/* The epoch of the host whose session is open; 0, which is none, without one. */
uint32_t sel_lib_board_session(const struct sel_lib_board *board)
{
    return board->core.host_epoch;
}

int64_t sel_lib_board_now(const struct sel_lib_board *board)
{
    return board->core.now;
}
