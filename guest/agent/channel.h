/*
 * channel.h - the byte stream to the host: input buffer, output queue, session start.
 *
 * Source: protocol/PROTOCOL.md, "Sessions". There is one channel and at most one
 * session on it; a HELLO begins a new session whatever went before.
 *
 * Memory is bounded: 1.1 MiB of input, 4 MiB of output; reading stops while more
 * than 1 MiB of output waits, and producers of data stop at 256 KiB.
 */
#ifndef HEARTH_CHANNEL_H
#define HEARTH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "message.h"

enum channel_kind {
	CHANNEL_PORT,   /* a virtio-serial port: stays open while the host comes and goes */
	CHANNEL_SOCKET, /* a connected socket: its end is the channel's end */
};

struct channel_handlers {
	void (*hello)(const struct hello *hello);
	/* A frame of the session that is not a HELLO. */
	void (*frame)(const struct frame *frame);
	/* The host went away; for a socket, the channel is closed. */
	void (*lost)(void);
};

/* Returns 0 or -errno. The descriptor is made non-blocking and owned from here on. */
int channel_start(int fd, enum channel_kind kind, const struct channel_handlers *handlers);
/* Drops what waits to be sent and the rest of the input: the next frame must be a HELLO. */
void channel_restart(void);
/* Queues a frame. */
void channel_send(uint32_t stream_id, uint8_t type, const void *payload, size_t len);
/* Bytes of data that a producer may queue now; asking and getting 0 arms stream_each_room(). */
size_t channel_room(void);
/* Space for a payload of at most len bytes, to be filled and then committed, before any other call. */
uint8_t *channel_reserve(size_t len);
void channel_commit(uint32_t stream_id, uint8_t type, size_t len);
/* Sends what is queued, as far as it goes. Called after each batch of events. */
void channel_flush(void);
/* Sends what is queued, waiting at most timeout_ms. For the last words before a reboot. */
void channel_flush_wait(int timeout_ms);

#endif
