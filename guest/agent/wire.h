/*
 * wire.h - read and write the fields of a message.
 *
 * Source: protocol/PROTOCOL.md, "Fields". Integers are big-endian. A reader or
 * writer that once ran out of room stays bad and gives zeroes, so a message is
 * read straight through and checked once, with wire_end().
 *
 * No allocation: texts point into the message itself.
 */
#ifndef HEARTH_WIRE_H
#define HEARTH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

/* Bytes of any value; data is NULL when the reader went bad. */
struct wire_bytes {
	const uint8_t *data;
	size_t len;
};

/* A list of texts, checked as a whole; walk it with wire_list_next(). */
struct wire_list {
	uint32_t count;
	const uint8_t *first;
};

struct wire_writer {
	uint8_t *at;
	size_t left;
	bool bad;
};

uint8_t wire_u8(struct wire_reader *reader);
uint16_t wire_u16(struct wire_reader *reader);
uint32_t wire_u32(struct wire_reader *reader);
uint64_t wire_u64(struct wire_reader *reader);
/* Exactly len bytes. */
const uint8_t *wire_raw(struct wire_reader *reader, size_t len);
struct wire_bytes wire_read_bytes(struct wire_reader *reader);
/* A C string without inner NUL; "" when the reader is bad. */
const char *wire_text(struct wire_reader *reader);
struct wire_list wire_read_list(struct wire_reader *reader);
/* The text at *at, which must lie within a list that was read; moves *at to the next one. */
const char *wire_list_next(const uint8_t **at);
/* True when everything was there and nothing is left over. */
bool wire_end(const struct wire_reader *reader);

void wire_put_u8(struct wire_writer *writer, uint8_t value);
void wire_put_u16(struct wire_writer *writer, uint16_t value);
void wire_put_u32(struct wire_writer *writer, uint32_t value);
void wire_put_u64(struct wire_writer *writer, uint64_t value);
void wire_put_raw(struct wire_writer *writer, const void *data, size_t len);
void wire_put_bytes(struct wire_writer *writer, const void *data, size_t len);
void wire_put_text(struct wire_writer *writer, const char *text);

#endif
