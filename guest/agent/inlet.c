#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "message.h"
#include "pipe_end.h"

enum { BUFFER_BYTES = PROTOCOL_INITIAL_WINDOW_BYTES };

static void grant(struct inlet *inlet, size_t bytes)
{
	inlet->ungranted += (uint32_t)bytes;
	if (inlet->ungranted < BUFFER_BYTES / 4 || inlet->stream->id == 0)
		return;
	uint8_t payload[8];
	struct wire_writer writer = {payload, sizeof(payload), false};
	struct window window = {0, inlet->ungranted};
	message_encode_window(&writer, &window);
	stream_send(inlet->stream, MESSAGE_WINDOW, payload, (size_t)(writer.at - payload));
	inlet->ungranted = 0;
}

/* Writes once; returns the bytes taken, 0 when it would block or the reader is gone. */
static size_t write_some(struct inlet *inlet, const uint8_t *data, size_t len)
{
	ssize_t put;
	do
		put = write(inlet->source.fd, data, len);
	while (put < 0 && errno == EINTR);
	if (put < 0 && errno != EAGAIN)
		inlet->broken = true;
	return put < 0 ? 0 : (size_t)put;
}

static void finish(struct inlet *inlet)
{
	if (inlet->end == INLET_SHUTDOWN && !inlet->broken) {
		loop_watch(&inlet->source, 0);
		shutdown(inlet->source.fd, SHUT_WR);
	} else if (inlet->end == INLET_TTY && !inlet->broken) {
		/* A terminal has no end of file of its own: type its end-of-file character. */
		struct termios settings;
		if (tcgetattr(inlet->source.fd, &settings) == 0)
			write_some(inlet, (const uint8_t *)&settings.c_cc[VEOF], 1);
	}
	if (inlet->end != INLET_SHUTDOWN || inlet->broken)
		loop_close(&inlet->source);
	free(inlet->buffer);
	inlet->buffer = NULL;
	inlet->len = 0;
	if (inlet->changed != NULL)
		inlet->changed(inlet);
}

static void pump(struct inlet *inlet)
{
	while (inlet->len > 0 && !inlet->broken) {
		size_t run = BUFFER_BYTES - inlet->start;
		size_t put = write_some(inlet, inlet->buffer + inlet->start, run < inlet->len ? run : inlet->len);
		if (put == 0)
			break;
		inlet->start = (inlet->start + put) % BUFFER_BYTES;
		inlet->len -= put;
		grant(inlet, put);
	}
	if (inlet->broken || (inlet->len == 0 && inlet->end_wanted))
		finish(inlet);
	else
		loop_watch(&inlet->source, inlet->len > 0 ? EPOLLOUT : 0);
}

void inlet_ready(struct inlet *inlet, uint32_t events)
{
	(void)events;
	pump(inlet);
}

static void on_ready(struct source *source, uint32_t events)
{
	inlet_ready(container_of(source, struct inlet, source), events);
}

void inlet_open(struct inlet *inlet, int fd, const struct stream *stream, enum inlet_end end,
		void (*changed)(struct inlet *inlet))
{
	memset(inlet, 0, sizeof(*inlet));
	inlet->source.fd = fd;
	inlet->source.ready = on_ready;
	inlet->stream = stream;
	inlet->end = end;
	inlet->changed = changed;
}

static void append(struct inlet *inlet, const uint8_t *data, size_t len)
{
	size_t at = (inlet->start + inlet->len) % BUFFER_BYTES;
	size_t run = BUFFER_BYTES - at < len ? BUFFER_BYTES - at : len;
	memcpy(inlet->buffer + at, data, run);
	memcpy(inlet->buffer, data + run, len - run);
	inlet->len += len;
}

bool inlet_data(struct inlet *inlet, const uint8_t *data, size_t len)
{
	if (inlet->source.fd < 0 || inlet->broken || inlet->end_wanted)
		return true;
	if (len > inlet_window(inlet))
		return false;
	inlet->end_wanted = len == 0;
	if (len > 0 && inlet->len == 0) {
		size_t put = write_some(inlet, data, len);
		grant(inlet, put);
		data += put;
		len -= put;
	}
	if (len > 0 && !inlet->broken) {
		if (inlet->buffer == NULL)
			inlet->buffer = malloc(BUFFER_BYTES);
		if (inlet->buffer == NULL)
			inlet->broken = true;
		else
			append(inlet, data, len);
	}
	pump(inlet);
	return true;
}

uint32_t inlet_window(const struct inlet *inlet)
{
	return (uint32_t)(BUFFER_BYTES - inlet->len - inlet->ungranted);
}

void inlet_close(struct inlet *inlet)
{
	loop_close(&inlet->source);
	free(inlet->buffer);
	inlet->buffer = NULL;
	inlet->len = 0;
}
