/*
 * A light SSE client for benchmarks: opens N streams and counts `~` markers, each followed by 16 digits of the
 * sender's monotonic nanoseconds. Reads "expect K" lines on stdin; after K markers prints "done K p50 p99 max" (ns).
 * With "socket.io" as third argument it opens WebSockets of that protocol instead; what a server sends is not masked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIGITS 16
#define MAX_FD 200000

typedef struct { uint8_t opened, greeted, digits; uint64_t value; } conn;
static conn conns[MAX_FD];
static int32_t *latencies;
static size_t seen, expected, capacity;
static char buffer[1 << 18];
static int is_socket_io;
static const char CONNECT[] = "\x81\x82\0\0\0\0" "40";

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

static void report(void) {
	qsort(latencies, seen, sizeof *latencies, by_value);
	printf("done %zu %d %d %d\n", seen, latencies[seen / 2], latencies[seen * 99 / 100], latencies[seen - 1]);
	fflush(stdout);
	seen = expected = 0;
}

static void scan(conn *c, const char *at, const char *end, int64_t now) {
	while (at < end) {
		if (c->digits == 0) {
			at = memchr(at, '~', end - at);
			if (!at) return;
			at++;
			c->digits = 1;
			c->value = 0;
			continue;
		}
		if (*at < '0' || *at > '9') {
			/* Not a marker: the length of a WebSocket frame has this byte too. */
			c->digits = 0;
			continue;
		}
		c->value = c->value * 10 + (uint64_t)(*at++ - '0');
		if (c->digits++ < DIGITS) continue;
		c->digits = 0;
		int64_t latency = now - (int64_t)c->value;
		if (seen < capacity) latencies[seen++] = latency > INT32_MAX ? INT32_MAX : (int32_t)latency;
	}
}

static int dial(int port, int number) {
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Closing with a reset leaves no TIME_WAIT behind that the next run would meet. */
	struct linger reset = {1, 0};
	int on = 1;
	char text[512];
	if (fd < 0 || fd >= MAX_FD || connect(fd, (struct sockaddr *)&to, sizeof to)) {
		fprintf(stderr, "cannot open stream %d: %s\n", number, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	const char *format = is_socket_io
		? "GET /socket.io/?EIO=4&transport=websocket&n=%d HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
		: "GET /%d HTTP/1.1\r\nHost: bench\r\n\r\n";
	int length = snprintf(text, sizeof text, format, number);
	if (write(fd, text, length) != length) exit(1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int main(int count, char **arguments) {
	if (count < 3) return 2;
	is_socket_io = count > 3 && !strcmp(arguments[3], "socket.io");
	int port = atoi(arguments[1]), streams = atoi(arguments[2]), dialled = 0, opened = 0;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = 0}, events[512];
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
	for (;;) {
		while (dialled < streams && dialled - opened < 128) {
			event.data.fd = dial(port, dialled++);
			epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
		}
		int ready = epoll_wait(epoll, events, 512, -1);
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			ssize_t got = read(fd, buffer, sizeof buffer - 1);
			int64_t now = now_ns();
			if (got <= 0 && fd == 0) return 0;
			if (got < 0 && errno == EAGAIN) continue;
			if (got <= 0) {
				fprintf(stderr, "a stream was closed by the server\n");
				return 1;
			}
			buffer[got] = 0;
			if (fd == 0) {
				expected = strtoul(buffer + strlen("expect "), NULL, 10);
				if (expected > capacity) latencies = realloc(latencies, (capacity = expected) * sizeof *latencies);
				seen = 0;
				printf("ready\n");
				fflush(stdout);
				continue;
			}
			conn *c = &conns[fd];
			if (is_socket_io && !c->greeted && strstr(buffer, "\"sid\"")) {
				c->greeted = 1;
				if (write(fd, CONNECT, sizeof CONNECT - 1) != sizeof CONNECT - 1) return 1;
			} else if (!c->opened && strstr(buffer, is_socket_io ? "40{\"sid\"" : "event: cursor")) {
				c->opened = 1;
				if (++opened == streams) {
					printf("open\n");
					fflush(stdout);
				}
			}
			scan(c, buffer, buffer + got, now);
			if (expected && seen >= expected) report();
		}
	}
}
