/* files_internal.h - what the file jobs share. All of it runs in a job's child. */
#ifndef HEARTH_FILES_INTERNAL_H
#define HEARTH_FILES_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "wire.h"

/* A 32-bit field that means "leave it as it is". */
#define FILE_KEEP UINT32_MAX

enum {
	FILE_PATH_BYTES = 4096,
	FILE_ENTRY_BYTES = 3 * FILE_PATH_BYTES,
	FILE_COPY_BYTES = 64 * 1024,
};

/* Flags of FILE_WRITE and TREE_WRITE. */
enum { FILE_PARENTS = 1, FILE_EXCLUSIVE = 2, FILE_IN_PLACE = 4, FILE_SYNC = 8 };

struct file_attributes {
	uint32_t mode; /* permission bits, or FILE_KEEP */
	uint32_t uid, gid;
	uint64_t mtime_ns; /* two's complement; 0: now */
};

/* 0 or -errno. */
int file_write_all(int fd, const void *data, size_t len);
/* The same to standard output through a buffer, for many small pieces; file_flush() ends them. */
int file_put_out(const void *data, size_t len);
int file_flush(void);
/* Reads exactly len bytes; -EPIPE when the input ends before. */
int file_read_all(int fd, void *data, size_t len);
/* Appends the record of a file: `target` is what a symbolic link points to. */
void file_put_status(struct wire_writer *writer, const struct stat *status, const char *target);
int file_set_attributes(int dir_fd, const char *name, const struct file_attributes *wanted, bool is_link);
/*
 * Puts a regular file at path, whole or not at all (unless FILE_IN_PLACE). Its
 * content are the next `size` bytes of `input`, UINT64_MAX: all until its end.
 */
int file_put(const char *path, int input, uint64_t size, const struct file_attributes *wanted, uint32_t flags);
int file_make_directories(const char *path, uint32_t mode);
int file_remove_tree(int dir_fd, const char *name);

void tree_read_job(int report, const uint8_t *payload, size_t len);
void tree_write_job(int report, const uint8_t *payload, size_t len);
void file_fail(int report, int error, const char *path);

#endif
