#include "fsutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t file_read_text(const char *path, char *text, size_t size)
{
	text[0] = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, size - 1);
	int error = errno;
	close(fd);
	if (got < 0)
		return -error;
	while (got > 0 && text[got - 1] == '\n')
		got--;
	text[got] = 0;
	return got;
}

int file_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t put = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	return put < 0 ? -error : 0;
}

int file_replace(const char *path, const char *text, mode_t mode)
{
	char temporary[512];
	snprintf(temporary, sizeof(temporary), "%s.hearth", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	size_t len = strlen(text);
	int error = write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
	if (error == 0 && fchmod(fd, mode) < 0)
		error = -errno;
	close(fd);
	if (error == 0 && rename(temporary, path) < 0)
		error = -errno;
	if (error < 0)
		unlink(temporary);
	return error;
}

int kernel_ioctl(int fd, unsigned long request, const void *argument)
{
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
