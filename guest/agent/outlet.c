#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "pipe_end.h"

enum { READ_PER_EVENT_BYTES = 128 * 1024, RING_READ_BYTES = 64 * 1024, LEFTOVER_LIMIT = 256 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool attached(const struct outlet *outlet)
{
	return outlet->stream->id != 0;
}

static size_t ring_space(const struct outlet *outlet)
{
	return attached(outlet) ? outlet->ring_bytes - (size_t)(outlet->total - outlet->sent)
				: outlet->ring_bytes;
}

static bool wants_input(const struct outlet *outlet)
{
	if (!outlet->reading || outlet->ended || outlet->source.fd < 0)
		return false;
	if (outlet->ring != NULL)
		return ring_space(outlet) > 0;
	return outlet->credit > 0 && attached(outlet) && channel_room() > 0;
}

static void watch(struct outlet *outlet)
{
	if (outlet->source.fd >= 0)
		loop_watch(&outlet->source, wants_input(outlet) ? EPOLLIN : 0);
}

/* Books the result of a read; false when there is nothing more to read now. */
static bool account(struct outlet *outlet, ssize_t got, size_t asked)
{
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	/* EIO: the last holder of a terminal's other side has gone. */
	if (got <= 0) {
		outlet->ended = true;
		return false;
	}
	outlet->total += (uint64_t)got;
	if (outlet->limited) {
		outlet->remaining -= (size_t)got;
		outlet->ended = outlet->remaining == 0;
	}
	return !outlet->ended && (size_t)got == asked;
}

static size_t wanted(const struct outlet *outlet, size_t bytes)
{
	return outlet->limited ? least(bytes, outlet->remaining) : bytes;
}

static void pump_direct(struct outlet *outlet)
{
	for (size_t moved = 0; moved < READ_PER_EVENT_BYTES && wants_input(outlet);) {
		size_t most = least(least(outlet->credit, channel_room()), FRAME_MAX_DATA_BYTES);
		most = wanted(outlet, most);
		uint8_t *at = channel_reserve(most);
		ssize_t got = read(outlet->source.fd, at, most);
		bool more = account(outlet, got, most);
		if (got > 0) {
			channel_commit(outlet->stream->id, (uint8_t)(MESSAGE_DATA0 + outlet->channel),
				       (size_t)got);
			outlet->credit -= (uint32_t)got;
			outlet->sent = outlet->total;
			moved += (size_t)got;
		}
		if (!more)
			break;
	}
}

static void fill_ring(struct outlet *outlet)
{
	for (size_t moved = 0; moved < READ_PER_EVENT_BYTES && wants_input(outlet);) {
		size_t offset = (size_t)(outlet->total % outlet->ring_bytes);
		size_t most = least(least(ring_space(outlet), outlet->ring_bytes - offset), RING_READ_BYTES);
		most = wanted(outlet, most);
		ssize_t got = read(outlet->source.fd, outlet->ring + offset, most);
		bool more = account(outlet, got, most);
		if (got > 0)
			moved += (size_t)got;
		if (!attached(outlet) && outlet->total - outlet->sent > outlet->ring_bytes) {
			outlet->lost += outlet->total - outlet->ring_bytes - outlet->sent;
			outlet->sent = outlet->total - outlet->ring_bytes;
		}
		if (!more)
			break;
	}
}

static void send_ring(struct outlet *outlet)
{
	while (attached(outlet) && outlet->sent < outlet->total && outlet->credit > 0) {
		size_t offset = (size_t)(outlet->sent % outlet->ring_bytes);
		size_t len = least((size_t)(outlet->total - outlet->sent), outlet->ring_bytes - offset);
		len = least(least(len, outlet->credit), least(channel_room(), FRAME_MAX_DATA_BYTES));
		if (len == 0)
			return;
		channel_send(outlet->stream->id, (uint8_t)(MESSAGE_DATA0 + outlet->channel),
			     outlet->ring + offset, len);
		outlet->sent += len;
		outlet->credit -= (uint32_t)len;
	}
}

void outlet_pump(struct outlet *outlet)
{
	if (outlet->ring != NULL) {
		fill_ring(outlet);
		send_ring(outlet);
	} else {
		pump_direct(outlet);
	}
	if (outlet->ended && !outlet->end_sent && attached(outlet) && outlet->sent == outlet->total) {
		stream_send(outlet->stream, (uint8_t)(MESSAGE_DATA0 + outlet->channel), NULL, 0);
		outlet->end_sent = true;
	}
	watch(outlet);
}

static void on_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct outlet *outlet = container_of(source, struct outlet, source);
	outlet_pump(outlet);
	outlet->changed(outlet);
}

int outlet_open(struct outlet *outlet, int fd, const struct stream *stream, uint8_t channel,
		size_t ring_bytes, void (*changed)(struct outlet *outlet))
{
	memset(outlet, 0, sizeof(*outlet));
	outlet->source.fd = fd;
	outlet->source.ready = on_ready;
	outlet->stream = stream;
	outlet->channel = channel;
	outlet->changed = changed;
	if (ring_bytes == 0)
		return 0;
	uint8_t *ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ring == MAP_FAILED)
		return -errno;
	outlet->ring = ring;
	outlet->ring_bytes = ring_bytes;
	return 0;
}

void outlet_grant(struct outlet *outlet, uint32_t bytes)
{
	uint32_t room = PROTOCOL_MAX_WINDOW_BYTES - outlet->credit;
	outlet->credit += bytes < room ? bytes : room;
	outlet_pump(outlet);
	outlet->changed(outlet);
}

void outlet_limit(struct outlet *outlet)
{
	int waiting = 0;
	if (outlet->ended || outlet->limited)
		return;
	if (ioctl(outlet->source.fd, FIONREAD, &waiting) < 0 || waiting < 0)
		waiting = 0;
	outlet->limited = true;
	outlet->remaining = (size_t)waiting;
	outlet->ended = waiting == 0;
}

uint64_t outlet_attach(struct outlet *outlet, uint64_t cursor, uint32_t credit)
{
	uint64_t oldest = outlet->total > outlet->ring_bytes ? outlet->total - outlet->ring_bytes : 0;
	outlet->sent = cursor < oldest ? oldest : cursor > outlet->total ? outlet->total : cursor;
	outlet->credit = credit;
	outlet->end_sent = false;
	return outlet->sent;
}

bool outlet_done(const struct outlet *outlet)
{
	return outlet->ended && (outlet->end_sent || !attached(outlet));
}

void outlet_close(struct outlet *outlet)
{
	loop_close(&outlet->source);
	outlet->ended = true;
	if (outlet->ring != NULL)
		munmap(outlet->ring, outlet->ring_bytes);
	outlet->ring = NULL;
	outlet->ring_bytes = 0;
}

static struct source leftovers[LEFTOVER_LIMIT];

static void on_leftover(struct source *source, uint32_t events)
{
	static uint8_t nowhere[16 * 1024];
	(void)events;
	ssize_t got = read(source->fd, nowhere, sizeof(nowhere));
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		loop_close(source);
}

void outlet_leave(struct outlet *outlet)
{
	size_t free_at = 0;
	/* Descriptors 0 to 2 are never pipes of a command: 0 marks a place that is free. */
	while (free_at < LEFTOVER_LIMIT && leftovers[free_at].fd > 0)
		free_at++;
	if (outlet->source.fd < 0 || !outlet->limited || free_at == LEFTOVER_LIMIT) {
		loop_close(&outlet->source);
		return;
	}
	struct source *source = &leftovers[free_at];
	loop_watch(&outlet->source, 0);
	source->fd = outlet->source.fd;
	source->ready = on_leftover;
	outlet->source.fd = -1;
	loop_watch(source, EPOLLIN);
}
