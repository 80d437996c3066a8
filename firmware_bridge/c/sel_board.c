/* The reference controller as a Linux program in real time, on a pseudo-terminal or a TCP port of this computer.
 *
 *     sel_board [--valves N] [--slots N] [--link PATH | --tcp PORT] [--log FILE] [--seconds S]
 *
 * It prints where it can be reached: the terminal, PATH (a symbolic link to it) or tcp://127.0.0.1:PORT.
 *   --link PATH   keep PATH pointing at the terminal, as udev keeps /dev/serial/by-id
 *   --log FILE    append what it does, a line each: <monotonic ns> state|feeder|pulse|cut|reboot|unplug|plug ...
 * SIGUSR1 is a power failure of an instant, SIGUSR2 pulls the cable for 200 ms, SIGTERM and SIGINT end it.
 *
 * Only this file of the reference knows Linux. Of the line it models nothing: no baud rate, no framing errors.
 */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#define SEL_MAX_BODY 1032
#define SEL_VALVES 4096
#include "sel_controller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 1
#define UNPLUGGED_NS 200000000

static volatile sig_atomic_t must_stop, must_reboot, must_unplug;

struct program {
    struct sel_controller core;
    struct sel_settings settings;
    struct sel_io io;
    const char *link;
    FILE *log;
    int fd;        /* the board's end of the line, -1 while nobody can be there */
    int keeper_fd; /* the host's end of the terminal, held open so that a host may come and go */
    int listen_fd;
    int64_t start_ns, plug_at_ns;
    unsigned last_state, last_feeder;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "sel_board: %s: %s\n", what, strerror(errno));
    exit(4);
}

static void on_signal(int number)
{
    if (number == SIGUSR1)
        must_reboot = 1;
    else if (number == SIGUSR2)
        must_unplug = 1;
    else
        must_stop = 1;
}

/* ---- what the core needs ---- */

static void on_send(void *ctx, const uint8_t *wire, size_t n)
{
    struct program *p = ctx;

    /* Without room the bytes are dropped: a UART does not wait for its reader either. */
    if (p->fd >= 0 && write(p->fd, wire, n) < 0 && errno != EAGAIN && errno != EIO && errno != EPIPE)
        fail("write");
}

static void on_measure(void *ctx, uint16_t valve, uint16_t *coil_ma, uint16_t *open_us)
{
    (void)ctx;
    (void)valve;
    *coil_ma = 180; /* a small solenoid valve at 24 V */
    *open_us = 900;
}

static void on_pulse(void *ctx, int64_t evid, uint16_t first_valve, uint16_t count, int64_t open_tick,
                     int64_t close_tick)
{
    struct program *p = ctx;

    if (p->log != NULL)
        fprintf(p->log, "%" PRId64 " pulse %" PRId64 " %u %u %" PRId64 " %" PRId64 "\n", now_ns(), evid,
                (unsigned)first_valve, (unsigned)count, open_tick, close_tick);
}

static void on_cut(void *ctx, int64_t tick)
{
    struct program *p = ctx;

    if (p->log != NULL)
        fprintf(p->log, "%" PRId64 " cut %" PRId64 "\n", now_ns(), tick);
}

static uint8_t stored[1 << 20]; /* what a transfer brought; nobody looks at it */

static uint8_t on_begin(void *ctx, const struct sel_xfer_open *open)
{
    (void)ctx;
    return open->size_b <= sizeof stored ? SEL_TRANSFER_STATUS_OK : SEL_TRANSFER_STATUS_NO_SPACE;
}

static int on_store(void *ctx, uint64_t offset, const uint8_t *data, size_t n)
{
    (void)ctx;
    memcpy(stored + offset, data, n);
    return 1;
}

static int on_load(void *ctx, uint64_t offset, uint8_t *data, size_t n)
{
    (void)ctx;
    memcpy(data, stored + offset, n);
    return 1;
}

static const struct sel_bulk_store STORE = {NULL, on_begin, on_store, on_load};

static void power_on(struct program *p)
{
    p->start_ns = now_ns();
    sel_controller_init(&p->core, &p->settings, &p->io);
}

static void note_changes(struct program *p)
{
    static const char *const STATES[] = {"BOOT", "SAFE", "IDLE", "ARMED", "DEGRADED"};
    unsigned state = p->core.state, feeder = sel_controller_feeder(&p->core);

    if (p->log != NULL && state != p->last_state)
        fprintf(p->log, "%" PRId64 " state %s\n", now_ns(), STATES[state]);
    if (p->log != NULL && feeder != p->last_feeder)
        fprintf(p->log, "%" PRId64 " feeder %u\n", now_ns(), feeder);
    p->last_state = state;
    p->last_feeder = feeder;
}

/* ---- the line ---- */

static void set_link(const struct program *p, const char *target)
{
    char fresh[4096];

    if (p->link == NULL)
        return;
    if (snprintf(fresh, sizeof fresh, "%s.new", p->link) >= (int)sizeof fresh) {
        errno = ENAMETOOLONG;
        fail(p->link);
    }
    unlink(fresh);
    if (symlink(target, fresh) != 0 || rename(fresh, p->link) != 0)
        fail(p->link);
}

static void plug_terminal(struct program *p)
{
    struct termios raw;
    const char *name;

    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) != 0 || unlockpt(p->fd) != 0 || (name = ptsname(p->fd)) == NULL)
        fail("no pseudo-terminal");
    p->keeper_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->keeper_fd < 0 || tcgetattr(p->keeper_fd, &raw) != 0)
        fail(name);
    cfmakeraw(&raw);
    if (tcsetattr(p->keeper_fd, TCSANOW, &raw) != 0)
        fail(name);
    set_link(p, name);
    if (p->plug_at_ns == 0)
        printf("%s\n", p->link != NULL ? p->link : name);
    fflush(stdout);
}

static void unplug_terminal(struct program *p)
{
    if (p->link != NULL)
        unlink(p->link);
    close(p->fd);
    close(p->keeper_fd);
    p->fd = p->keeper_fd = -1;
    p->plug_at_ns = now_ns() + UNPLUGGED_NS;
}

static void listen_tcp(struct program *p, int port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int on = 1;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->listen_fd < 0 || setsockopt(p->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(p->listen_fd, (struct sockaddr *)&address, size) != 0 || listen(p->listen_fd, 1) != 0 ||
        getsockname(p->listen_fd, (struct sockaddr *)&address, &size) != 0)
        fail("TCP port");
    printf("tcp://127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
}

static void accept_tcp(struct program *p)
{
    int on = 1, fd = accept(p->listen_fd, NULL, NULL);

    if (fd < 0)
        return;
    if (p->fd >= 0) /* the new host takes over, as with a cable plugged into another computer */
        close(p->fd);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP connection");
    p->fd = fd;
}

static void lose_host(struct program *p)
{
    if (p->listen_fd >= 0) { /* a terminal's board end never hangs up while the keeper is open */
        close(p->fd);
        p->fd = -1;
    }
}

/* Wait for bytes or a step of time; returns how many came. */
static size_t wait_bytes(struct program *p, uint8_t *bytes, size_t size)
{
    struct pollfd fds[2] = {{p->fd, POLLIN, 0}, {p->listen_fd, POLLIN, 0}};
    ssize_t n;

    if (poll(fds, 2, STEP_MS) <= 0)
        return 0;
    if (fds[1].revents != 0) {
        accept_tcp(p); /* what the host before it left unread went with its connection */
        return 0;
    }
    if (fds[0].revents == 0)
        return 0;
    n = read(fds[0].fd, bytes, size);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        lose_host(p);
    return n > 0 ? (size_t)n : 0;
}

static void obey_signals(struct program *p)
{
    if (must_reboot) {
        must_reboot = 0;
        sel_controller_power_off(&p->core, (now_ns() - p->start_ns) / 1000, 0);
        if (p->log != NULL)
            fprintf(p->log, "%" PRId64 " reboot\n", now_ns());
        p->settings.boot_id++;
        power_on(p);
    }
    if (must_unplug && p->listen_fd < 0 && p->fd >= 0) {
        unplug_terminal(p);
        if (p->log != NULL)
            fprintf(p->log, "%" PRId64 " unplug\n", now_ns());
    }
    must_unplug = 0;
    if (p->listen_fd < 0 && p->fd < 0 && now_ns() >= p->plug_at_ns) {
        plug_terminal(p);
        if (p->log != NULL)
            fprintf(p->log, "%" PRId64 " plug\n", now_ns());
    }
}

/* ---- the program ---- */

static long number_of(const char *name, const char *text, long low, long high)
{
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : -1;

    if (text == NULL || *text == 0 || *end != 0 || value < low || value > high) {
        fprintf(stderr, "sel_board: %s takes a number from %ld to %ld, not %s\n", name, low, high,
                text != NULL ? text : "nothing");
        exit(2);
    }
    return value;
}

static long parse(struct program *p, int argc, char **argv, long *tcp_port)
{
    long seconds = 0;
    int i;

    for (i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--valves") == 0) {
            p->settings.n_valves = (uint16_t)number_of(argv[i], value, 1, SEL_VALVES);
        } else if (strcmp(argv[i], "--slots") == 0) {
            p->settings.slots = (uint16_t)number_of(argv[i], value, 1, SEL_SLOTS);
        } else if (strcmp(argv[i], "--tcp") == 0) {
            *tcp_port = number_of(argv[i], value, 0, 65535);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = number_of(argv[i], value, 1, 1000000);
        } else if (strcmp(argv[i], "--link") == 0 && value != NULL) {
            p->link = value;
        } else if (strcmp(argv[i], "--log") == 0 && value != NULL) {
            p->log = fopen(value, "ae");
            if (p->log == NULL)
                fail(value);
            setvbuf(p->log, NULL, _IOLBF, BUFSIZ);
        } else {
            fprintf(stderr, "usage: sel_board [--valves N] [--slots N] [--link PATH | --tcp PORT] [--log FILE] "
                            "[--seconds S]\n");
            exit(2);
        }
    }
    return seconds;
}

int main(int argc, char **argv)
{
    static struct program p;
    static uint8_t bytes[SEL_RX_WINDOW];
    struct sigaction action;
    struct sel_io io = {&p, on_send, on_measure, NULL, &STORE, NULL, {&p, on_pulse, on_cut}};
    long tcp_port = -1, seconds;
    int64_t end_ns;

    p.settings.n_valves = 256;
    p.settings.slots = SEL_SLOTS;
    p.settings.fw_minor = 1;
    p.settings.boot_id = (uint32_t)now_ns(); /* differs from start to start, as a counter in flash would */
    memcpy(p.settings.uid, "selboard-ref", sizeof p.settings.uid);
    p.io = io;
    p.fd = p.keeper_fd = p.listen_fd = -1;
    seconds = parse(&p, argc, argv, &tcp_port);
    end_ns = seconds != 0 ? now_ns() + seconds * 1000000000 : INT64_MAX;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);

    power_on(&p);
    if (tcp_port >= 0)
        listen_tcp(&p, (int)tcp_port);
    else
        plug_terminal(&p);
    while (!must_stop && now_ns() < end_ns) {
        size_t n = wait_bytes(&p, bytes, sizeof bytes);
        int64_t tick = (now_ns() - p.start_ns) / 1000;

        if (n != 0)
            sel_controller_feed(&p.core, bytes, n, tick, 0);
        sel_controller_advance(&p.core, tick, 0);
        note_changes(&p);
        obey_signals(&p);
    }
    if (p.link != NULL)
        unlink(p.link);
    return 0;
}
