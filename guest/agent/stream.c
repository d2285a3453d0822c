#include "stream.h"

#include <stdio.h>

#include "channel.h"
#include "message.h"

enum { BUCKETS = 64, ERROR_TEXT_BYTES = 1024 };

static struct stream *buckets[BUCKETS];
static size_t open_count;
static uint32_t last_guest_id;

static struct stream **bucket_of(uint32_t id)
{
	return &buckets[id % BUCKETS];
}

bool stream_open(struct stream *stream, uint32_t id, const struct stream_ops *ops)
{
	if (open_count >= STREAM_LIMIT)
		return false;
	struct stream **bucket = bucket_of(id);
	stream->id = id;
	stream->ops = ops;
	stream->next = *bucket;
	*bucket = stream;
	open_count++;
	return true;
}

bool stream_open_from_guest(struct stream *stream, const struct stream_ops *ops)
{
	do
		last_guest_id = (last_guest_id + 1) & ~STREAM_FROM_GUEST;
	while (stream_find(last_guest_id | STREAM_FROM_GUEST) != NULL);
	return stream_open(stream, last_guest_id | STREAM_FROM_GUEST, ops);
}

struct stream *stream_find(uint32_t id)
{
	struct stream *stream = *bucket_of(id);
	while (stream != NULL && stream->id != id)
		stream = stream->next;
	return stream;
}

size_t stream_count(void)
{
	return open_count;
}

static void close_stream(struct stream *stream)
{
	struct stream **at = bucket_of(stream->id);
	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	stream->id = 0;
	open_count--;
}

void stream_send(const struct stream *stream, uint8_t type, const void *payload, size_t len)
{
	if (stream->id != 0)
		channel_send(stream->id, type, payload, len);
}

void stream_finish(struct stream *stream, uint8_t type, const void *payload, size_t len)
{
	if (stream->id == 0)
		return;
	stream_send(stream, type, payload, len);
	close_stream(stream);
}

static void send_error(uint32_t id, const char *code, int error, const char *text)
{
	uint8_t payload[ERROR_TEXT_BYTES + 64];
	char cut[ERROR_TEXT_BYTES];
	snprintf(cut, sizeof(cut), "%s", text);
	struct wire_writer writer = {payload, sizeof(payload), false};
	message_encode_error(&writer, code, error, cut);
	channel_send(id, MESSAGE_ERROR, payload, (size_t)(writer.at - payload));
}

void stream_finish_error(struct stream *stream, const char *code, int error, const char *text)
{
	if (stream->id == 0)
		return;
	send_error(stream->id, code, error, text);
	close_stream(stream);
}

void stream_reply_ok(uint32_t id, const void *payload, size_t len)
{
	channel_send(id, MESSAGE_OK, payload, len);
}

void stream_refuse(uint32_t id, const char *code, int error, const char *text)
{
	send_error(id, code, error, text);
}

void stream_each_room(void)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct stream *stream = buckets[i]; stream != NULL;) {
			struct stream *next = stream->next;
			if (stream->ops->room != NULL)
				stream->ops->room(stream);
			stream = next;
		}
	}
}

void stream_drop_all(void)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (buckets[i] != NULL) {
			struct stream *stream = buckets[i];
			close_stream(stream);
			stream->ops->dropped(stream);
		}
	}
}
