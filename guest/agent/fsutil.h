/* fsutil.h - the kernel's interfaces by file and ioctl, and small files of /etc. */
#ifndef HEARTH_FSUTIL_H
#define HEARTH_FSUTIL_H

#include <stddef.h>
#include <sys/types.h>

/* Reads up to size-1 bytes, ends them with NUL and cuts the newline at the end. Returns the length or -errno. */
ssize_t file_read_text(const char *path, char *text, size_t size);
/* Writes into an existing file in one write, as files of /proc and /sys want it. 0 or -errno. */
int file_write_text(const char *path, const char *text);
/* Replaces a file by rename: a reader sees the old or the new one, never half. 0 or -errno. */
int file_replace(const char *path, const char *text, mode_t mode);

/* ioctl() with the number as the kernel has it: C libraries disagree about its sign. */
int kernel_ioctl(int fd, unsigned long request, const void *argument);

#endif
