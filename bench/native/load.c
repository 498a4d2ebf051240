// The load generator of the benchmark: one thread, epoll, closed loop, and it reads every answer to its end.
//
//   load PORT PATH HEADER BODY-FILE CONNECTIONS REQUESTS RAMP-MS DELTAS END MAX-SECONDS
//
// Each connection sends its next request when the last answer has ended. An answer counts as good if its status is 200,
// it has exactly DELTAS marks ("~T" and 16 hex digits, see upstream.c) and END stands in its last 64 bytes. One line of
// JSON at the end: how many answers, how many wrong ones, and percentiles in microseconds of the time to the first mark
// (ttft) and of the age of a paced mark on arrival (age). Exit 1 if an answer was wrong or missing.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, HEAD, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, FIXED, UNTIL_CLOSE };
enum { MARK = 18, TAIL = 64 };

typedef struct {
    int fd;                 // -1: not connected
    int state, status, deltas, close_after, wants_write;
    uint64_t sent_at, begins_at;
    size_t written;         // of the request
    size_t left;            // of a chunk or a fixed body
    int in_extension;       // of a chunk's size line
    int line;               // length of a trailer line
    char head[8192];
    int head_length;
    char mark[MARK];        // a mark cut by the end of a read
    int mark_length;
    char tail[TAIL];        // the last bytes of the body
    size_t tail_length;
} Client;

typedef struct {
    float *values;
    size_t count, capacity;
} Samples;

static int poller, launched, done, wrong, total, expected;
static const char *end_mark;
static char *request;
static size_t request_length;
static struct sockaddr_in server;
static Samples ttft, age;
static uint64_t body_bytes;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void add(Samples *s, double microseconds) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity * 2 + 1024;
        s->values = realloc(s->values, s->capacity * sizeof *s->values);
        if (!s->values) abort();
    }
    s->values[s->count++] = microseconds;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(const Samples *s, double p) { // of sorted samples
    return s->count ? s->values[(size_t)((s->count - 1) * p)] : 0;
}

static void want_write(Client *c, int wanted) {
    if (c->wants_write == wanted) return;
    c->wants_write = wanted;
    struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void write_request(Client *c) {
    while (c->written < request_length) {
        ssize_t n = send(c->fd, request + c->written, request_length - c->written, MSG_NOSIGNAL);
        if (n < 0) { // full, or refused: then the read side says so
            want_write(c, 1);
            return;
        }
        c->written += n;
    }
    want_write(c, 0);
}

static void begin(Client *c) {
    c->state = HEAD;
    c->status = c->deltas = c->close_after = c->head_length = c->mark_length = c->in_extension = c->line = 0;
    c->written = c->left = c->tail_length = 0;
    c->sent_at = now();
    launched++;
    if (c->fd >= 0) {
        write_request(c);
        return;
    }
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(c->fd, (void *)&server, sizeof server);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
    c->wants_write = 1;
}

static void finish(Client *c, const char *fault) {
    if (!fault && c->status != 200) fault = "status";
    if (!fault && c->deltas != expected) fault = "deltas";
    if (!fault && !memmem(c->tail, c->tail_length, end_mark, strlen(end_mark))) fault = "end";
    if (fault && ++wrong <= 3)
        fprintf(stderr, "load: %s: status %d, %d deltas, head and tail: %.*s … %.*s\n", fault, c->status, c->deltas,
                c->head_length < 200 ? c->head_length : 200, c->head, (int)c->tail_length, c->tail);
    if ((fault || c->close_after) && c->fd >= 0) close(c->fd), c->fd = -1;
    done++;
    c->state = IDLE;
    if (launched < total) begin(c);
}

static void take_mark(Client *c, const char *mark) {
    uint64_t sent = 0, time = now();
    for (int i = 2; i < MARK; i++) {
        char h = mark[i];
        if (!((h >= '0' && h <= '9') || (h >= 'a' && h <= 'f'))) return;
        sent = sent * 16 + (h <= '9' ? h - '0' : h - 'a' + 10);
    }
    if (++c->deltas == 1) add(&ttft, (time - c->sent_at) / 1e3);
    if (sent) add(&age, (time - sent) / 1e3);
}

static void find_marks(Client *c, const char *data, size_t length) {
    const char *end = data + length;
    while (c->mark_length && data < end) { // the rest of one that was cut
        if (c->mark_length == 1 && *data != 'T') {
            c->mark_length = 0;
            break;
        }
        c->mark[c->mark_length++] = *data++;
        if (c->mark_length == MARK) take_mark(c, c->mark), c->mark_length = 0;
    }
    while (data < end && (data = memchr(data, '~', end - data))) {
        if (end - data < MARK) {
            if (end - data > 1 && data[1] != 'T') {
                data++;
                continue;
            }
            c->mark_length = end - data;
            memcpy(c->mark, data, c->mark_length);
            return;
        }
        if (data[1] == 'T') take_mark(c, data), data += MARK;
        else data++;
    }
}

static void take_body(Client *c, const char *data, size_t length) {
    body_bytes += length;
    find_marks(c, data, length);
    if (length >= TAIL) {
        memcpy(c->tail, data + length - TAIL, TAIL), c->tail_length = TAIL;
        return;
    }
    size_t keep = c->tail_length + length > TAIL ? TAIL - length : c->tail_length;
    memmove(c->tail, c->tail + c->tail_length - keep, keep);
    memcpy(c->tail + keep, data, length);
    c->tail_length = keep + length;
}

static void take_head(Client *c) { // the whole head is there: what follows?
    c->head[c->head_length] = 0;
    c->status = atoi(c->head + 9);
    c->close_after = strcasestr(c->head, "\r\nconnection: close") != NULL;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (length) {
        c->left = strtoul(length + 17, NULL, 10);
        c->state = FIXED;
        if (!c->left) finish(c, NULL);
    } else {
        c->state = strcasestr(c->head, "chunked") ? CHUNK_SIZE : UNTIL_CLOSE;
    }
}

static void take(Client *c, const char *data, size_t length) {
    const char *end = data + length;
    while (data < end && c->fd >= 0) {
        size_t n = end - data;
        char ch = *data;
        switch (c->state) {
        case HEAD:
            if (c->head_length == sizeof c->head - 1) {
                finish(c, "head");
                return;
            }
            c->head[c->head_length++] = ch, data++;
            if (c->head_length >= 4 && !memcmp(c->head + c->head_length - 4, "\r\n\r\n", 4)) take_head(c);
            break;
        case CHUNK_SIZE:
            data++;
            if (ch == '\n') c->state = c->left ? CHUNK : TRAILER, c->in_extension = c->line = 0;
            else if (ch == ';') c->in_extension = 1;
            else if (ch != '\r' && !c->in_extension) c->left = c->left * 16 + (ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10);
            break;
        case CHUNK:
        case FIXED:
            if (n > c->left) n = c->left;
            take_body(c, data, n);
            data += n, c->left -= n;
            if (!c->left && c->state == FIXED) finish(c, NULL);
            else if (!c->left) c->state = CHUNK_END;
            break;
        case CHUNK_END:
            data++;
            if (ch == '\n') c->state = CHUNK_SIZE;
            break;
        case TRAILER:
            data++;
            if (ch == '\n' && !c->line) finish(c, NULL);
            else if (ch == '\n') c->line = 0;
            else if (ch != '\r') c->line++;
            break;
        case UNTIL_CLOSE:
            take_body(c, data, n);
            return;
        default: // bytes after the end of an answer
            return;
        }
    }
}

static void on_readable(Client *c) {
    static char piece[1 << 18];
    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, piece, sizeof piece, 0);
        if (n > 0) {
            take(c, piece, n);
            if (n < (ssize_t)sizeof piece) return;
            continue;
        }
        if (n < 0 && errno == EAGAIN) return;
        int state = c->state;
        close(c->fd), c->fd = -1;
        if (state == UNTIL_CLOSE) finish(c, NULL);
        else if (state != IDLE) finish(c, "closed early");
        return;
    }
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc != 11) {
        fprintf(stderr, "usage: load PORT PATH HEADER BODY-FILE CONNECTIONS REQUESTS RAMP-MS DELTAS END MAX-SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[5]);
    double ramp = atof(argv[7]) * 1e6, limit = atof(argv[10]) * 1e9;
    total = atoi(argv[6]), expected = atoi(argv[8]), end_mark = argv[9];
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    request = malloc((4 << 20) + 8192);
    static char body[4 << 20];
    FILE *f = fopen(argv[4], "rb");
    if (!f) {
        perror(argv[4]);
        return 2;
    }
    size_t body_length = fread(body, 1, sizeof body, f);
    fclose(f);
    request_length = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\n%s\r\n"
                                      "Content-Length: %zu\r\n\r\n", argv[2], argv[1], argv[3], body_length);
    memcpy(request + request_length, body, body_length);
    request_length += body_length;

    poller = epoll_create1(0);
    Client *clients = calloc(connections, sizeof *clients);
    uint64_t start = now();
    for (int i = 0; i < connections; i++) {
        clients[i].fd = -1;
        clients[i].begins_at = start + (uint64_t)(ramp * i / connections);
    }
    struct epoll_event events[512];
    for (int begun = 0; done < total;) {
        uint64_t time = now();
        if (time - start > limit) break;
        for (; begun < connections && clients[begun].begins_at <= time; begun++)
            if (launched < total) begin(&clients[begun]);
        struct timespec wait = {0, 200000000};
        if (begun < connections && clients[begun].begins_at - time < 200000000) wait.tv_nsec = clients[begun].begins_at - time;
        int n = epoll_pwait2(poller, events, 512, &wait, NULL);
        for (int i = 0; i < n; i++) {
            Client *c = events[i].data.ptr;
            if (c->fd < 0) continue;
            if (events[i].events & EPOLLOUT) write_request(c);
            if (events[i].events & ~EPOLLOUT) on_readable(c);
        }
    }
    double seconds = (now() - start) / 1e9;
    qsort(ttft.values, ttft.count, sizeof(float), ascending);
    qsort(age.values, age.count, sizeof(float), ascending);
    printf("{\"done\":%d,\"wrong\":%d,\"missing\":%d,\"seconds\":%.3f,\"bytes\":%lu,\"ttft_p50\":%.1f,\"ttft_p99\":%.1f,"
           "\"age_p50\":%.1f,\"age_p99\":%.1f}\n",
           done, wrong, total - done, seconds, (unsigned long)body_bytes, percentile(&ttft, .5), percentile(&ttft, .99),
           percentile(&age, .5), percentile(&age, .99));
    return wrong || done < total;
}
