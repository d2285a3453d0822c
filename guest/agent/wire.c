#include "wire.h"

#include <string.h>

const uint8_t *wire_raw(struct wire_reader *reader, size_t len)
{
	if (reader->bad || reader->left < len) {
		reader->bad = true;
		return NULL;
	}
	const uint8_t *at = reader->at;
	reader->at += len;
	reader->left -= len;
	return at;
}

static uint64_t read_uint(struct wire_reader *reader, size_t len)
{
	const uint8_t *at = wire_raw(reader, len);
	uint64_t value = 0;
	for (size_t i = 0; at != NULL && i < len; i++)
		value = value << 8 | at[i];
	return value;
}

uint8_t wire_u8(struct wire_reader *reader)
{
	return (uint8_t)read_uint(reader, 1);
}

uint16_t wire_u16(struct wire_reader *reader)
{
	return (uint16_t)read_uint(reader, 2);
}

uint32_t wire_u32(struct wire_reader *reader)
{
	return (uint32_t)read_uint(reader, 4);
}

uint64_t wire_u64(struct wire_reader *reader)
{
	return read_uint(reader, 8);
}

struct wire_bytes wire_read_bytes(struct wire_reader *reader)
{
	uint32_t len = wire_u32(reader);
	const uint8_t *data = wire_raw(reader, len);
	struct wire_bytes bytes = {data, data == NULL ? 0 : len};
	return bytes;
}

const char *wire_text(struct wire_reader *reader)
{
	uint32_t len = wire_u32(reader);
	const uint8_t *data = wire_raw(reader, (size_t)len + 1);
	if (data == NULL)
		return "";
	if (data[len] != 0 || memchr(data, 0, len) != NULL) {
		reader->bad = true;
		return "";
	}
	return (const char *)data;
}

struct wire_list wire_read_list(struct wire_reader *reader)
{
	struct wire_list list = {wire_u32(reader), reader->at};
	for (uint32_t i = 0; i < list.count && !reader->bad; i++)
		wire_text(reader);
	if (reader->bad)
		list.count = 0;
	return list;
}

const char *wire_list_next(const uint8_t **at)
{
	const char *text = (const char *)(*at + 4);
	*at += 4 + strlen(text) + 1;
	return text;
}

bool wire_end(const struct wire_reader *reader)
{
	return !reader->bad && reader->left == 0;
}

void wire_put_raw(struct wire_writer *writer, const void *data, size_t len)
{
	if (writer->bad || writer->left < len) {
		writer->bad = true;
		return;
	}
	if (len > 0)
		memcpy(writer->at, data, len);
	writer->at += len;
	writer->left -= len;
}

static void write_uint(struct wire_writer *writer, uint64_t value, size_t len)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
	wire_put_raw(writer, bytes, len);
}

void wire_put_u8(struct wire_writer *writer, uint8_t value)
{
	write_uint(writer, value, 1);
}

void wire_put_u16(struct wire_writer *writer, uint16_t value)
{
	write_uint(writer, value, 2);
}

void wire_put_u32(struct wire_writer *writer, uint32_t value)
{
	write_uint(writer, value, 4);
}

void wire_put_u64(struct wire_writer *writer, uint64_t value)
{
	write_uint(writer, value, 8);
}

void wire_put_bytes(struct wire_writer *writer, const void *data, size_t len)
{
	wire_put_u32(writer, (uint32_t)len);
	wire_put_raw(writer, data, len);
}

void wire_put_text(struct wire_writer *writer, const char *text)
{
	size_t len = strlen(text);
	wire_put_u32(writer, (uint32_t)len);
	wire_put_raw(writer, text, len + 1);
}
