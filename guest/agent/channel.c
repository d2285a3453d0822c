#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop.h"
#include "stream.h"

enum {
	READ_BYTES = 64 * 1024,
	IN_BYTES = FRAME_HEADER_BYTES + FRAME_MAX_PAYLOAD_BYTES + READ_BYTES,
	OUT_BYTES = 4 * 1024 * 1024,
	OUT_STOPS_READING_BYTES = 1024 * 1024,
	OUT_STOPS_DATA_BYTES = 256 * 1024,
	READS_PER_EVENT = 32,
	/* A frame that has been incomplete for this long is given up when a HELLO follows. */
	STALE_FRAME_MS = 50,
	/* Fallback; the kernel wakes us when a host connects. */
	RECONNECT_POLL_MS = 500,
	PREAMBLE_BYTES = FRAME_HEADER_BYTES + HELLO_MAGIC_BYTES,
};

static struct source source = {.fd = -1};
static struct timer reconnect;
static enum channel_kind kind;
static const struct channel_handlers *handlers;
static uint8_t preamble[PREAMBLE_BYTES];
static uint8_t *in;
static size_t in_start, in_end;
static uint8_t *out;
static size_t out_start, out_end;
static bool connected;
static bool synced;  /* a HELLO has been seen: frames follow each other without gap */
static bool starved; /* a producer was refused room */
static uint64_t last_read_ms;

static void watch(void)
{
	uint32_t interest = 0;
	if (out_end - out_start <= OUT_STOPS_READING_BYTES)
		interest |= EPOLLIN;
	if (out_end > out_start)
		interest |= EPOLLOUT;
	/* Without a host a port is ready for ever (HUP): ask for changes only. */
	loop_watch(&source, connected ? interest : (uint32_t)(EPOLLIN | EPOLLOUT | EPOLLET));
}

void channel_restart(void)
{
	in_start = in_end = 0;
	out_start = out_end = 0;
	synced = false;
}

static void lose(void)
{
	connected = false;
	channel_restart();
	if (kind == CHANNEL_SOCKET)
		loop_close(&source);
	else
		timer_set(&reconnect, RECONNECT_POLL_MS);
	handlers->lost();
}

/* Drops input up to the next HELLO; false when its beginning is not there yet. */
static bool synchronise(void)
{
	uint8_t *found = memmem(in + in_start, in_end - in_start, preamble, PREAMBLE_BYTES);
	if (found != NULL) {
		in_start = (size_t)(found - in);
		return true;
	}
	if (in_end - in_start >= PREAMBLE_BYTES)
		in_start = in_end - (PREAMBLE_BYTES - 1);
	return false;
}

static void handle_input(void)
{
	while (source.fd >= 0 && out_end - out_start <= OUT_STOPS_READING_BYTES) {
		if (!synced && !synchronise())
			break;
		struct frame frame;
		ssize_t taken = frame_decode(in + in_start, in_end - in_start, &frame);
		if (taken == 0)
			break;
		struct hello hello;
		bool is_hello = taken > 0 && frame.stream_id == 0 && frame.type == MESSAGE_HELLO &&
				message_decode_hello(frame.payload, frame.payload_bytes, &hello) == 0;
		if (is_hello) {
			in_start += (size_t)taken;
			synced = true;
			handlers->hello(&hello);
		} else if (taken > 0 && synced) {
			in_start += (size_t)taken;
			handlers->frame(&frame);
		} else {
			/* Not frames any more: end the session, look for the next HELLO. */
			in_start++;
			synced = false;
			out_start = out_end = 0;
			stream_drop_all();
		}
	}
	if (in_start == in_end)
		in_start = in_end = 0;
}

static void read_input(void)
{
	for (int i = 0; i < READS_PER_EVENT && source.fd >= 0; i++) {
		if (IN_BYTES - in_end < READ_BYTES) {
			memmove(in, in + in_start, in_end - in_start);
			in_end -= in_start;
			in_start = 0;
		}
		if (out_end - out_start > OUT_STOPS_READING_BYTES || IN_BYTES - in_end < READ_BYTES)
			return;
		ssize_t got = read(source.fd, in + in_end, READ_BYTES);
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			connected = true;
			return;
		}
		if (got <= 0) {
			if (connected)
				lose();
			return;
		}
		connected = true;
		uint64_t now = loop_now_ms();
		bool stale = in_end > in_start && now - last_read_ms >= STALE_FRAME_MS;
		if (stale && got >= PREAMBLE_BYTES && memcmp(in + in_end, preamble, PREAMBLE_BYTES) == 0)
			in_start = in_end;
		last_read_ms = now;
		in_end += (size_t)got;
		handle_input();
	}
}

static void on_ready(struct source *self, uint32_t events)
{
	(void)self;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) || !connected)
		read_input();
	if (source.fd >= 0)
		watch();
}

static void on_reconnect(struct timer *timer)
{
	if (connected)
		return;
	read_input();
	watch();
	if (!connected)
		timer_set(timer, RECONNECT_POLL_MS);
}

int channel_start(int fd, enum channel_kind channel_kind, const struct channel_handlers *channel_handlers)
{
	if (in == NULL) {
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		in = mmap(NULL, IN_BYTES + OUT_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (in == MAP_FAILED)
			return -errno;
		out = in + IN_BYTES;
	}
	frame_encode_header(preamble, 0, MESSAGE_HELLO, HELLO_BYTES);
	memcpy(preamble + FRAME_HEADER_BYTES, hello_magic, HELLO_MAGIC_BYTES);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	loop_close(&source);
	source.fd = fd;
	source.ready = on_ready;
	reconnect.fire = on_reconnect;
	kind = channel_kind;
	handlers = channel_handlers;
	connected = true;
	channel_restart();
	watch();
	return 0;
}

uint8_t *channel_reserve(size_t len)
{
	if (out_start == out_end)
		out_start = out_end = 0;
	if (OUT_BYTES - out_end < FRAME_HEADER_BYTES + len) {
		memmove(out, out + out_start, out_end - out_start);
		out_end -= out_start;
		out_start = 0;
	}
	return out + out_end + FRAME_HEADER_BYTES;
}

void channel_commit(uint32_t stream_id, uint8_t type, size_t len)
{
	frame_encode_header(out + out_end, stream_id, type, (uint32_t)len);
	out_end += FRAME_HEADER_BYTES + len;
}

void channel_send(uint32_t stream_id, uint8_t type, const void *payload, size_t len)
{
	/* One input frame causes at most one big reply and reading stops at 1 MiB: it always fits. */
	uint8_t *at = channel_reserve(len);
	if (OUT_BYTES - out_end < FRAME_HEADER_BYTES + len)
		return;
	if (len > 0)
		memcpy(at, payload, len);
	channel_commit(stream_id, type, len);
}

size_t channel_room(void)
{
	size_t queued = out_end - out_start;
	if (queued < OUT_STOPS_DATA_BYTES)
		return OUT_STOPS_DATA_BYTES - queued;
	starved = true;
	return 0;
}

static void write_output(void)
{
	while (connected && out_end > out_start) {
		ssize_t put = write(source.fd, out + out_start, out_end - out_start);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			if (put < 0 && errno != EAGAIN)
				lose();
			return;
		}
		out_start += (size_t)put;
	}
}

void channel_flush(void)
{
	if (source.fd < 0)
		return;
	write_output();
	if (starved && out_end - out_start < OUT_STOPS_DATA_BYTES / 2) {
		starved = false;
		stream_each_room();
		write_output();
	}
	if (source.fd < 0)
		return;
	if (in_end > in_start)
		handle_input();
	if (source.fd >= 0)
		watch();
}

void channel_flush_wait(int timeout_ms)
{
	uint64_t end = loop_now_ms() + (uint64_t)timeout_ms;
	while (source.fd >= 0 && connected && out_end > out_start && loop_now_ms() < end) {
		struct pollfd ready = {source.fd, POLLOUT, 0};
		poll(&ready, 1, 20);
		write_output();
	}
}
