/* Replays protocol/vectors/frame.tsv, each frame also cut at every byte. */
#include <errno.h>

#include "frame.h"
#include "vectors.h"

static void refused(char **fields)
{
	size_t len;
	struct frame frame;
	uint8_t *bytes = from_hex(fields[4], &len);
	CHECK(len == FRAME_HEADER_BYTES, "%s", fields[0]);
	CHECK(frame_decode(bytes, len, &frame) == -EMSGSIZE, "%s", fields[0]);
	free(bytes);
}

static void row(char **fields)
{
	size_t payload_len, frame_len;
	if (strcmp(fields[3], "!") == 0) {
		refused(fields);
		return;
	}
	uint32_t stream_id = (uint32_t)strtoul(fields[1], NULL, 10);
	uint8_t type = (uint8_t)strtoul(fields[2], NULL, 10);
	uint8_t *payload = from_hex(fields[3], &payload_len);
	uint8_t *bytes = from_hex(fields[4], &frame_len);
	struct frame frame = {0};

	uint8_t header[FRAME_HEADER_BYTES];
	frame_encode_header(header, stream_id, type, (uint32_t)payload_len);
	CHECK(memcmp(header, bytes, sizeof(header)) == 0, "%s", fields[0]);

	CHECK(frame_decode(bytes, frame_len, &frame) == (ssize_t)frame_len, "%s", fields[0]);
	CHECK(frame.stream_id == stream_id && frame.type == type, "%s", fields[0]);
	CHECK(frame.payload_bytes == payload_len, "%s", fields[0]);
	CHECK(frame.payload == bytes + FRAME_HEADER_BYTES, "%s", fields[0]);
	CHECK(memcmp(frame.payload, payload, payload_len) == 0, "%s", fields[0]);

	for (size_t cut = 0; cut < frame_len; cut++) {
		uint8_t *part = exact_copy(bytes, cut);
		CHECK(frame_decode(part, cut, &frame) == 0, "%s cut at %zu", fields[0], cut);
		free(part);
	}
	free(payload);
	free(bytes);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	return finish("frame_test", each_vector(argv[1], "frame.tsv", row));
}
