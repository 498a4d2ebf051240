// The pretend service of the benchmark: one thread, epoll, far faster than anything measured with it.
//
//   upstream            listens on a free loopback port and prints it as one line
//
//   GET  /mode/<frames>/<ms between frames, 0 = all at once>   sets how the next answers are sent
//   POST /token                                                the log-in service: a fresh access token
//   POST with X-Amz-Target …ListAvailableModels                one model
//   POST with any other AmazonCodeWhispererService target      {}
//   POST anything else                                         an answer in event-stream frames
//
// An answer is what the service sends over its awsJson binding: initial-response, <frames> text deltas, then
// metadataEvent (END_TURN, token usage), contextUsageEvent and meteringEvent, each with both checksums right.
// Every delta carries "~T" and 16 hex digits: when it was sent (CLOCK_MONOTONIC, ns), or zeros in a burst. The load
// generator counts them and takes the latency from them.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char *data;
    size_t length, capacity;
} Buffer;

typedef struct Connection {
    int fd;               // -1 once closed
    Buffer in, out;
    size_t sent;          // of out
    int frames_left;
    int answering;        // a paced answer is under way
    int queued;           // in one of the two queues: freed there, not at close
    int wants_write;
    uint64_t due;         // when the next frame is due, ns
    struct Connection *next;
} Connection;

// Paced connections wait in two queues, each in order of `due` because the pace is the same for all:
// answers about to begin, and answers under way.
typedef struct {
    Connection *head, *tail;
} Queue;

static int poller;
static int frames = 1;
static uint64_t pace;     // ns; 0 = burst
static Queue beginning, running;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void append(Buffer *b, const void *data, size_t length) {
    if (b->length + length > b->capacity) {
        b->capacity = (b->length + length) * 2 + 4096;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void append_text(Buffer *b, const char *text) { append(b, text, strlen(text)); }

// --- event-stream frames ---------------------------------------------------------------------------------------------

static uint32_t crc_table[256];

static void fill_crc_table(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        crc_table[n] = c;
    }
}

static uint32_t crc32(const uint8_t *data, size_t length) {
    uint32_t c = ~0u;
    while (length--) c = crc_table[(c ^ *data++) & 0xFF] ^ (c >> 8);
    return ~c;
}

static void put_u32(uint8_t *at, uint32_t value) {
    at[0] = value >> 24, at[1] = value >> 16, at[2] = value >> 8, at[3] = value;
}

static size_t put_header(uint8_t *at, const char *name, const char *value) {
    size_t name_length = strlen(name), value_length = strlen(value);
    *at++ = name_length;
    memcpy(at, name, name_length), at += name_length;
    *at++ = 7; // a string
    *at++ = value_length >> 8, *at++ = value_length;
    memcpy(at, value, value_length);
    return name_length + value_length + 4;
}

enum { INITIAL, DELTA, METADATA, CONTEXT, METERING, KINDS };
static const char *event_type[KINDS] = {"initial-response", "assistantResponseEvent", "metadataEvent",
                                        "contextUsageEvent", "meteringEvent"};
static uint8_t header_block[KINDS][160];
static size_t header_length[KINDS];

static void fill_header_blocks(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        uint8_t *block = header_block[kind];
        size_t n = put_header(block, ":event-type", event_type[kind]);
        n += put_header(block + n, ":content-type", "application/json");
        n += put_header(block + n, ":message-type", "event");
        header_length[kind] = n;
    }
}

static void append_chunk(Buffer *b, const void *data, size_t length) { // of HTTP's chunked coding
    char size[24];
    append(b, size, sprintf(size, "%zx\r\n", length));
    append(b, data, length);
    append(b, "\r\n", 2);
}

static void append_frame(Buffer *b, int kind, const char *payload) {
    uint8_t frame[1024];
    size_t headers = header_length[kind], body = strlen(payload), total = 12 + headers + body + 4;
    put_u32(frame, total);
    put_u32(frame + 4, headers);
    put_u32(frame + 8, crc32(frame, 8));
    memcpy(frame + 12, header_block[kind], headers);
    memcpy(frame + 12 + headers, payload, body);
    put_u32(frame + total - 4, crc32(frame, total - 4));
    append_chunk(b, frame, total);
}

static void append_delta(Buffer *b, uint64_t sent_at) {
    static unsigned serial;
    char payload[96];
    sprintf(payload, "{\"content\":\"~T%016lx t%03u\"}", (unsigned long)sent_at, serial++ % 1000);
    append_frame(b, DELTA, payload);
}

static void append_beginning(Buffer *b) {
    append_text(b, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
                   "x-amzn-requestid: 00000000-0000-4000-8000-000000000000\r\nTransfer-Encoding: chunked\r\n\r\n");
    append_frame(b, INITIAL, "{}");
}

static void append_end(Buffer *b) {
    append_frame(b, METADATA, "{\"stopReason\":\"END_TURN\",\"tokenUsage\":{\"uncachedInputTokens\":250,"
                              "\"outputTokens\":200,\"totalTokens\":450}}");
    append_frame(b, CONTEXT, "{\"contextUsagePercentage\":0.225}");
    append_frame(b, METERING, "{\"usage\":0.01,\"unit\":\"credit\",\"unitPlural\":\"credits\"}");
    append_text(b, "0\r\n\r\n");
}

static void append_json(Buffer *b, const char *body) {
    char head[160];
    append(b, head, sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %zu\r\n\r\n",
                            strlen(body)));
    append_text(b, body);
}

// --- connections -----------------------------------------------------------------------------------------------------

static void enqueue(Queue *q, Connection *c) {
    c->next = NULL, c->queued = 1;
    if (q->tail) q->tail->next = c;
    else q->head = c;
    q->tail = c;
}

static Connection *dequeue(Queue *q) {
    Connection *c = q->head;
    q->head = c->next, c->queued = 0;
    if (!q->head) q->tail = NULL;
    return c;
}

static void release(Connection *c) {
    free(c->in.data), free(c->out.data), free(c);
}

static void hang_up(Connection *c) {
    close(c->fd), c->fd = -1;
    if (!c->queued) release(c);
}

static void want_write(Connection *c, int wanted) {
    if (c->wants_write == wanted) return;
    c->wants_write = wanted;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static int flush_out(Connection *c) { // 0 = fine, -1 = the peer is gone
    while (c->sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return -1;
            want_write(c, 1);
            return 0;
        }
        c->sent += n;
    }
    c->sent = c->out.length = 0;
    want_write(c, 0);
    return 0;
}

static void answer_stream(Connection *c) {
    append_beginning(&c->out);
    if (pace) {
        c->answering = 1, c->frames_left = frames, c->due = now();
        enqueue(&beginning, c);
        return;
    }
    for (int i = 0; i < frames; i++) append_delta(&c->out, 0);
    append_end(&c->out);
}

static void answer(Connection *c, char *head) { // head: request line and headers, ended by a zero
    if (!strncmp(head, "GET /mode/", 10)) {
        double ms = 0;
        sscanf(head + 10, "%d/%lf", &frames, &ms);
        pace = ms * 1e6;
        append_json(&c->out, "{}");
    } else if (!strncmp(head, "GET ", 4)) {
        append_json(&c->out, "{}");
    } else if (!strncmp(head, "POST /token", 11)) {
        append_json(&c->out, "{\"accessToken\":\"bench-access\",\"expiresIn\":28800,\"refreshToken\":\"bench-refresh-2\","
                             "\"tokenType\":\"Bearer\"}");
    } else if (strcasestr(head, "ListAvailableModels")) {
        append_json(&c->out, "{\"defaultModel\":{\"modelId\":\"claude-sonnet-4.5\"},\"models\":[{\"modelId\":\"claude-sonnet-4.5\","
                             "\"modelName\":\"Claude Sonnet 4.5\",\"supportedInputTypes\":[\"TEXT\",\"IMAGE\"],"
                             "\"tokenLimits\":{\"maxInputTokens\":200000,\"maxOutputTokens\":64000}}]}");
    } else if (strcasestr(head, "x-amz-target: AmazonCodeWhispererService.")) {
        append_json(&c->out, "{}");
    } else {
        answer_stream(c);
    }
}

static int serve_requests(Connection *c) { // every whole request in `in`; -1 = the peer is gone
    while (!c->answering && c->in.length) {
        char *end = memmem(c->in.data, c->in.length, "\r\n\r\n", 4);
        if (!end) return 0;
        size_t total = end - c->in.data + 4;
        *end = 0;
        char *length = strcasestr(c->in.data, "\r\ncontent-length:");
        int chunked = !length && strcasestr(c->in.data, "transfer-encoding: chunked");
        if (length) total += strtoul(length + 17, NULL, 10);
        if (chunked) {
            char *body = c->in.data + total, *last = memmem(body, c->in.length - total, "0\r\n\r\n", 5);
            total = last ? (size_t)(last - c->in.data) + 5 : c->in.length + 1;
        }
        if (c->in.length < total) {
            *end = '\r';
            return 0;
        }
        answer(c, c->in.data);
        memmove(c->in.data, c->in.data + total, c->in.length - total);
        c->in.length -= total;
        if (flush_out(c)) return -1;
    }
    return 0;
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static void on_readable(Connection *c) {
    static char piece[1 << 18];
    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof piece, 0);
        if (n > 0) {
            append(&c->in, piece, n);
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            hang_up(c);
            return;
        }
        break;
    }
    if (serve_requests(c)) hang_up(c);
}

static void send_due(Queue *q, uint64_t time) {
    for (int budget = 2000; q->head && q->head->due <= time && budget; budget--) {
        Connection *c = dequeue(q);
        if (c->fd < 0) {
            release(c);
            continue;
        }
        append_delta(&c->out, now());
        if (--c->frames_left == 0) append_end(&c->out), c->answering = 0;
        if (flush_out(c)) {
            hang_up(c);
            continue;
        }
        if (c->answering) c->due += pace, enqueue(&running, c);
        else if (serve_requests(c)) hang_up(c);
    }
}

static struct timespec until_next_frame(void) {
    uint64_t next = UINT64_MAX, time = now();
    if (beginning.head) next = beginning.head->due;
    if (running.head && running.head->due < next) next = running.head->due;
    if (next == UINT64_MAX) return (struct timespec){1, 0};
    uint64_t wait = next > time ? next - time : 0;
    return wait < 1000000000ull ? (struct timespec){0, wait} : (struct timespec){1, 0};
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGTERM); // never outlives the benchmark
    fill_crc_table();
    fill_header_blocks();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 8192) ||
        getsockname(listener, (void *)&address, &size)) {
        perror("upstream");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct timespec wait = until_next_frame();
        int n = epoll_pwait2(poller, events, 512, &wait, NULL);
        for (int i = 0; i < n; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if ((events[i].events & EPOLLOUT) && flush_out(c)) hang_up(c);
            else if (events[i].events & ~EPOLLOUT) on_readable(c);
        }
        uint64_t time = now();
        send_due(&beginning, time);
        send_due(&running, time);
    }
}
