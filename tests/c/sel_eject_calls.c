/* The eject class of the controller, one call at a time, for the test that holds it against its Python twin. */
#include "sel_eject.h"

#define ROWS 4096
#define CUT INT64_MIN /* the event of a row that says that everything closed */

struct row {
    int64_t evid, open_tick, close_tick, first_valve, count;
};

static struct sel_eject desk;
static struct row rows[ROWS];
static int n_rows;

static void add_row(int64_t evid, int64_t open_tick, int64_t close_tick, int64_t first_valve, int64_t count)
{
    struct row row = {evid, open_tick, close_tick, first_valve, count};

    if (n_rows < ROWS)
        rows[n_rows++] = row;
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick,
                     int64_t close_tick)
{
    (void)ctx;
    add_row(evid, open_tick, close_tick, first_valve, count);
}

static void on_cut(void *ctx, int64_t tick)
{
    (void)ctx;
    add_row(CUT, tick, 0, 0, 0);
}

void t_init(uint16_t n_valves, uint16_t slots)
{
    struct sel_observer observer = {NULL, on_pulse, on_cut};

    n_rows = 0;
    sel_eject_init(&desk, n_valves, slots, observer);
}

void t_limits(const uint32_t values[6])
{
    struct sel_eject_limits limits = {values[0], values[1], values[2], values[3], values[4], values[5]};

    desk.limits = limits;
}

void t_take(uint32_t evid, uint32_t base_tick, const uint32_t wish[5], int64_t now, int is_firing)
{
    struct sel_wish taken;

    taken.dt_ticks = (uint16_t)wish[0];
    taken.first_valve = (uint16_t)wish[1];
    taken.pulse_us = (uint16_t)wish[2];
    taken.mask = wish[3];
    taken.flags = (uint8_t)wish[4];
    sel_eject_take(&desk, sel_unwrap(evid, desk.next_evid), base_tick, &taken, now, is_firing);
}

void t_test_pulse(uint16_t valve, int64_t tick, uint16_t pulse)
{
    sel_open(&desk, SEL_SELFTEST_EVID, tick, valve, 1, pulse);
}

void t_run(int64_t tick)
{
    sel_eject_run(&desk, tick);
}

void t_stop(int64_t tick)
{
    sel_eject_stop(&desk, tick);
}

void t_cancel(uint32_t from_evid, uint32_t to_evid)
{
    sel_eject_cancel(&desk, from_evid, to_evid);
}

int t_start_session(int64_t now)
{
    return sel_eject_start_session(&desk, now);
}

int t_judge(int64_t now)
{
    return (int)sel_eject_judge(&desk, now);
}

uint64_t t_received(uint32_t base_evid)
{
    return sel_eject_received(&desk, base_evid);
}

int t_take_reports(uint8_t max, int64_t out[][3])
{
    struct sel_eject_report reports[255];
    uint8_t n = sel_eject_take_reports(&desk, reports, max), i;

    for (i = 0; i < n; i++) {
        out[i][0] = reports[i].evid;
        out[i][1] = reports[i].reason;
        out[i][2] = reports[i].lateness_10us;
    }
    return n;
}

int t_take_rows(struct row out[ROWS])
{
    int n = n_rows;

    memcpy(out, rows, (size_t)n * sizeof rows[0]);
    n_rows = 0;
    return n;
}

void t_counters(int64_t out[8])
{
    out[0] = desk.fired;
    out[1] = desk.late;
    out[2] = desk.duplicates;
    out[3] = desk.queue_high;
    out[4] = desk.has_overrun;
    out[5] = desk.pending;
    out[6] = desk.next_evid;
    out[7] = sel_eject_is_quiet(&desk);
}

int t_is_open(uint16_t valve, int64_t tick)
{
    return sel_eject_is_open(&desk, valve, tick);
}

int64_t t_next(int64_t tick)
{
    return sel_eject_next(&desk, tick);
}
