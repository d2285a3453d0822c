/*
 * stream.h - the streams of the session: which object a frame belongs to.
 *
 * Source: protocol/PROTOCOL.md, "Streams". The host opens a stream by its first
 * frame; the agent ends it by exactly one terminal message (OK, ERROR, EXIT or
 * CLOSED), after which the id is dead.
 */
#ifndef HEARTH_STREAM_H
#define HEARTH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

struct stream_ops {
	/* A frame for this stream. The payload is valid during the call only. */
	void (*message)(struct stream *stream, uint8_t type, const uint8_t *payload, size_t len);
	/* The output queue has room again. May be NULL. */
	void (*room)(struct stream *stream);
	/* The session is over: the stream is closed already, nothing can be sent. */
	void (*dropped)(struct stream *stream);
};

/* Embedded in its object; id 0 means that it is not open. */
struct stream {
	uint32_t id;
	const struct stream_ops *ops;
	struct stream *next;
};

enum { STREAM_LIMIT = 256 };

/* False when STREAM_LIMIT streams are open. */
bool stream_open(struct stream *stream, uint32_t id, const struct stream_ops *ops);
/* Opens it under a fresh id of the agent's own. */
bool stream_open_from_guest(struct stream *stream, const struct stream_ops *ops);
struct stream *stream_find(uint32_t id);
size_t stream_count(void);
/* Sends a message that is not the last; nothing happens on a stream that is not open. */
void stream_send(const struct stream *stream, uint8_t type, const void *payload, size_t len);
/* Sends the terminal message and closes the stream. */
void stream_finish(struct stream *stream, uint8_t type, const void *payload, size_t len);
void stream_finish_error(struct stream *stream, const char *code, int error, const char *text);
/* The terminal message of a stream that never had an object. */
void stream_reply_ok(uint32_t id, const void *payload, size_t len);
void stream_refuse(uint32_t id, const char *code, int error, const char *text);
void stream_each_room(void);
/* Closes all streams and tells their objects. */
void stream_drop_all(void);

#endif
