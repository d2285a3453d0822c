/*
 * discard.c - loaded into a QEMU whose memory is a private mapping of a shared file.
 *
 * When a guest gives pages back, QEMU punches a hole into the file behind them, also where the mapping is private:
 * every other VM that starts from that file would lose its memory with it. Here the hole in that one file is not
 * made; the madvise(MADV_DONTNEED) that QEMU does after it gives back what this VM has written, and the page is then
 * again the one of the file, which a guest that has freed it does not mind.
 *
 * HEARTH_SHARED_MEMORY names the file: device and inode, two hexadecimal numbers of 16 digits. All other files, a
 * disk's for example, are treated as ever. No C library of ours: QEMU has its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DIGITS = 16 };

static int read_number(const char *text, uint64_t *number)
{
	*number = 0;
	for (int i = 0; i < DIGITS; i++) {
		char c = text[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
		if (digit > 15)
			return -1;
		*number = *number << 4 | digit;
	}
	return 0;
}

static int is_shared_memory(int fd)
{
	const char *named = getenv("HEARTH_SHARED_MEMORY");
	uint64_t device, inode;
	struct stat status;
	if (named == NULL || read_number(named, &device) < 0 || named[DIGITS] != ':' ||
	    read_number(named + DIGITS + 1, &inode) < 0 || fstat(fd, &status) < 0)
		return 0;
	return status.st_dev == device && status.st_ino == inode;
}

static int allocate(int fd, int mode, int64_t offset, int64_t length)
{
	if ((mode & FALLOC_FL_PUNCH_HOLE) != 0 && is_shared_memory(fd))
		return 0;
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

__attribute__((visibility("default"))) int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return allocate(fd, mode, offset, length);
}

__attribute__((visibility("default"))) int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return allocate(fd, mode, offset, length);
}
