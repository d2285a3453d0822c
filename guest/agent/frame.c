#include "frame.h"

#include <errno.h>

#include "message.h"

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

ssize_t frame_decode(const uint8_t *bytes, size_t len, struct frame *out)
{
	if (len < FRAME_HEADER_BYTES)
		return 0;
	uint32_t payload_bytes = get_u32(bytes);
	uint8_t type = bytes[8];
	uint32_t limit = message_is_data(type) ? FRAME_MAX_DATA_BYTES : FRAME_MAX_PAYLOAD_BYTES;
	if (payload_bytes > limit)
		return -EMSGSIZE;
	if (len - FRAME_HEADER_BYTES < payload_bytes)
		return 0;
	out->stream_id = get_u32(bytes + 4);
	out->type = type;
	out->payload_bytes = payload_bytes;
	out->payload = bytes + FRAME_HEADER_BYTES;
	return (ssize_t)(FRAME_HEADER_BYTES + payload_bytes);
}

void frame_encode_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t stream_id, uint8_t type,
			 uint32_t payload_bytes)
{
	put_u32(header, payload_bytes);
	put_u32(header + 4, stream_id);
	header[8] = type;
}
