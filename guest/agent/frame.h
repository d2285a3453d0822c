/*
 * frame.h - cut frames out of the byte stream from the host, and head new ones.
 *
 * Source: protocol/PROTOCOL.md, "Frames". protocol/vectors/frame.tsv is replayed
 * here by test/frame_test.c and on the host side by src/protocol/frame.test.ts.
 *
 * No allocation and no I/O: the caller owns every buffer.
 */
#ifndef HEARTH_FRAME_H
#define HEARTH_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	FRAME_HEADER_BYTES = 9,
	/* Largest payload of a control message (1 MiB). */
	FRAME_MAX_PAYLOAD_BYTES = 1024 * 1024,
	/* Largest payload of a DATA message (64 KiB). */
	FRAME_MAX_DATA_BYTES = 64 * 1024,
};

struct frame {
	uint32_t stream_id;
	uint8_t type;
	uint32_t payload_bytes;
	const uint8_t *payload; /* points into the caller's buffer */
};

/*
 * Reads the frame at the start of bytes[0..len).
 *
 * Returns the bytes it takes up (at least FRAME_HEADER_BYTES), 0 when no whole
 * frame has arrived yet, or -EMSGSIZE when the header claims more than its type
 * allows; *out is set only in the first case.
 */
ssize_t frame_decode(const uint8_t *bytes, size_t len, struct frame *out);

/* Writes a header. payload_bytes is at most FRAME_MAX_PAYLOAD_BYTES. */
void frame_encode_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t stream_id, uint8_t type,
			 uint32_t payload_bytes);

#endif
