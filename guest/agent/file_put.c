#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files_internal.h"

int file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t put = write(fd, at, len);
		if (put < 0 && errno != EINTR)
			return -errno;
		if (put > 0) {
			at += put;
			len -= (size_t)put;
		}
	}
	return 0;
}

static uint8_t out[FILE_COPY_BYTES];
static size_t out_len;

int file_flush(void)
{
	size_t len = out_len;
	out_len = 0;
	return file_write_all(STDOUT_FILENO, out, len);
}

int file_put_out(const void *data, size_t len)
{
	int error = len > sizeof(out) - out_len ? file_flush() : 0;
	if (error < 0 || len > sizeof(out))
		return error < 0 ? error : file_write_all(STDOUT_FILENO, data, len);
	memcpy(out + out_len, data, len);
	out_len += len;
	return 0;
}

int file_read_all(int fd, void *data, size_t len)
{
	uint8_t *at = data;
	while (len > 0) {
		ssize_t got = read(fd, at, len);
		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			at += got;
			len -= (size_t)got;
		}
	}
	return 0;
}

int file_set_attributes(int dir_fd, const char *name, const struct file_attributes *wanted, bool is_link)
{
	if ((wanted->uid != FILE_KEEP || wanted->gid != FILE_KEEP) &&
	    fchownat(dir_fd, name, wanted->uid, wanted->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* After the owner: changing that clears the set-id bits. */
	if (wanted->mode != FILE_KEEP && !is_link && fchmodat(dir_fd, name, wanted->mode & 07777, 0) < 0)
		return -errno;
	if (wanted->mtime_ns != 0) {
		int64_t ns = (int64_t)wanted->mtime_ns;
		int64_t rest = ns % 1000000000;
		struct timespec times[2];
		times[0].tv_sec = 0;
		times[0].tv_nsec = UTIME_OMIT;
		times[1].tv_sec = (time_t)((ns - (rest < 0 ? rest + 1000000000 : rest)) / 1000000000);
		times[1].tv_nsec = (long)(rest < 0 ? rest + 1000000000 : rest);
		if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	return 0;
}

int file_make_directories(const char *path, uint32_t mode)
{
	char part[FILE_PATH_BYTES];
	size_t len = strlen(path);
	struct stat status;
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (part[i] != '/' && part[i] != 0)
			continue;
		char end = part[i];
		part[i] = 0;
		if (mkdir(part, mode & 07777) < 0 && errno != EEXIST)
			return -errno;
		part[i] = end;
	}
	if (stat(path, &status) < 0)
		return -errno;
	return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static int copy_content(int from, int to, uint64_t size)
{
	static uint8_t buffer[FILE_COPY_BYTES];
	while (size > 0) {
		size_t most = size < sizeof(buffer) ? (size_t)size : sizeof(buffer);
		ssize_t got = read(from, buffer, most);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return size == UINT64_MAX ? 0 : -EPIPE;
		int error = file_write_all(to, buffer, (size_t)got);
		if (error < 0)
			return error;
		if (size != UINT64_MAX)
			size -= (uint64_t)got;
	}
	return 0;
}

/* The directory part of path into `directory`; returns the name in it. */
static const char *split(const char *path, char directory[FILE_PATH_BYTES])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	snprintf(directory, FILE_PATH_BYTES, "%.*s", (int)len, path);
	if (len == 0)
		snprintf(directory, FILE_PATH_BYTES, "%s", slash == NULL ? "." : "/");
	return slash == NULL ? path : slash + 1;
}

static int put_in_place(const char *path, int input, uint64_t size, uint32_t flags)
{
	int create = (flags & FILE_EXCLUSIVE) != 0 ? O_CREAT | O_EXCL : O_CREAT | O_TRUNC;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | create, 0644);
	if (fd < 0)
		return -errno;
	int error = copy_content(input, fd, size);
	if (error == 0 && (flags & FILE_SYNC) != 0 && fsync(fd) < 0)
		error = -errno;
	close(fd);
	return error;
}

/*
 * A file without a name, so that a job that is killed leaves nothing behind; where
 * the file system has no such files, one with a temporary name.
 */
static int open_unnamed(int dir_fd, const char *temporary, bool *named)
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	*named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL);
	if (*named)
		fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd;
}

static int give_name(int dir_fd, int fd, const char *temporary)
{
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dir_fd, temporary, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int put_by_rename(int dir_fd, const char *name, int input, uint64_t size,
			 const struct file_attributes *wanted, uint32_t flags)
{
	char temporary[64];
	bool named = false;
	snprintf(temporary, sizeof(temporary), ".hearth-%d", (int)getpid());
	int fd = open_unnamed(dir_fd, temporary, &named);
	if (fd < 0)
		return -errno;
	int error = copy_content(input, fd, size);
	if (error == 0 && (flags & FILE_SYNC) != 0 && fsync(fd) < 0)
		error = -errno;
	if (error == 0 && !named) {
		error = give_name(dir_fd, fd, temporary);
		named = error == 0;
	}
	close(fd);
	if (error == 0)
		error = file_set_attributes(dir_fd, temporary, wanted, false);
	if (error == 0 && (flags & FILE_EXCLUSIVE) != 0)
		error = linkat(dir_fd, temporary, dir_fd, name, 0) < 0 ? -errno : 0;
	else if (error == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		error = -errno;
	if (named && (error < 0 || (flags & FILE_EXCLUSIVE) != 0))
		unlinkat(dir_fd, temporary, 0);
	return error;
}

int file_put(const char *path, int input, uint64_t size, const struct file_attributes *wanted, uint32_t flags)
{
	char target[FILE_PATH_BYTES], directory[FILE_PATH_BYTES];
	struct stat before;
	struct file_attributes attributes = *wanted;
	if (strlen(path) >= sizeof(target))
		return -ENAMETOOLONG;
	snprintf(target, sizeof(target), "%s", path);
	bool exists = lstat(path, &before) == 0;
	/* A link is followed, so that the file it names is replaced and the link stays. */
	if (exists && S_ISLNK(before.st_mode)) {
		if (realpath(path, target) == NULL || stat(target, &before) < 0)
			return -errno;
	}
	if (exists && S_ISDIR(before.st_mode))
		return -EISDIR;
	if (exists && (flags & FILE_EXCLUSIVE) != 0)
		return -EEXIST;
	if (attributes.mode == FILE_KEEP)
		attributes.mode = exists ? before.st_mode & 07777 : 0644;
	if (exists && attributes.uid == FILE_KEEP)
		attributes.uid = before.st_uid;
	if (exists && attributes.gid == FILE_KEEP)
		attributes.gid = before.st_gid;
	if ((flags & FILE_IN_PLACE) != 0 || (exists && !S_ISREG(before.st_mode)))
		return put_in_place(target, input, size, flags);
	const char *name = split(target, directory);
	if (name[0] == 0)
		return -EISDIR;
	if ((flags & FILE_PARENTS) != 0) {
		int error = file_make_directories(directory, 0755);
		if (error < 0)
			return error;
	}
	int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	int error = put_by_rename(dir_fd, name, input, size, &attributes, flags);
	close(dir_fd);
	return error;
}
