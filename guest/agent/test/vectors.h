/*
 * vectors.h - reads the golden vectors of protocol/vectors, which src/protocol's tests read, too.
 *
 * Included by each test once. A test prints what fails and returns the number of failures.
 */
#ifndef HEARTH_TEST_VECTORS_H
#define HEARTH_TEST_VECTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTOR_FIELDS = 5, VECTOR_LINE_BYTES = 64 * 1024 };

static int failures;

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			failures++; \
			fprintf(stderr, "%s:%d: " #condition ": ", __FILE__, __LINE__); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
		} \
	} while (0)

static uint8_t hex_digit(char digit)
{
	return (uint8_t)(digit >= 'a' ? digit - 'a' + 10 : digit - '0');
}

/* An exact-size heap copy, so that the sanitizer sees every byte read beyond it. Free it. */
static uint8_t *from_hex(const char *hex, size_t *len)
{
	*len = strlen(hex) / 2;
	uint8_t *bytes = malloc(*len == 0 ? 1 : *len);
	if (bytes == NULL)
		abort();
	for (size_t i = 0; i < *len; i++)
		bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return bytes;
}

static uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	return copy;
}

/* Calls row() for each line that is neither empty nor a comment; returns how many. */
static int each_vector(const char *directory, const char *name, void (*row)(char **fields))
{
	static char line[VECTOR_LINE_BYTES];
	char path[1024];
	int rows = 0;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		static char nothing[] = "";
		char *fields[VECTOR_FIELDS] = {nothing, nothing, nothing, nothing, nothing};
		line[strcspn(line, "\n")] = 0;
		if (line[0] == 0 || line[0] == '#')
			continue;
		char *rest = line;
		for (int i = 0; i < VECTOR_FIELDS && rest != NULL; i++)
			fields[i] = strsep(&rest, "\t");
		row(fields);
		rows++;
	}
	fclose(file);
	return rows;
}

static int finish(const char *what, int rows)
{
	CHECK(rows > 0, "no vectors");
	printf("%s: %d vectors, %d failures\n", what, rows, failures);
	return failures == 0 ? 0 : 1;
}

#endif
