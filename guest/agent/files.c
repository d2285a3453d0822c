#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "exec.h"
#include "files_internal.h"
#include "message.h"

enum { STATUS_FOLLOW = 1, REMOVE_RECURSIVE = 1, REMOVE_MISSING_OK = 2 };

void file_fail(int report, int error, const char *path)
{
	char text[FILE_PATH_BYTES + 128];
	snprintf(text, sizeof(text), "%s: %s", path, strerror(error));
	report_error(report, "FILE_FAILED", error, text);
}

static void finish(int report, int error, const char *path)
{
	if (error < 0)
		file_fail(report, -error, path);
	else
		report_ok(report, NULL, 0);
}

static void refuse(int report)
{
	report_error(report, "REQUEST_INVALID", EINVAL, "file request");
}

void file_put_status(struct wire_writer *writer, const struct stat *status, const char *target)
{
	wire_put_u32(writer, status->st_mode);
	wire_put_u32(writer, status->st_uid);
	wire_put_u32(writer, status->st_gid);
	wire_put_u64(writer, (uint64_t)status->st_size);
	wire_put_u64(writer, (uint64_t)((int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec));
	wire_put_u32(writer, major(status->st_rdev));
	wire_put_u32(writer, minor(status->st_rdev));
	wire_put_u64(writer, status->st_ino);
	wire_put_u32(writer, (uint32_t)status->st_nlink);
	wire_put_text(writer, target);
}

static void report_status(int report, int dir_fd, const char *path, int flags)
{
	static uint8_t reply[FILE_ENTRY_BYTES];
	static char target[FILE_PATH_BYTES];
	struct stat status;
	struct wire_writer writer = {reply, sizeof(reply), false};
	if (fstatat(dir_fd, path, &status, flags) < 0) {
		file_fail(report, errno, path);
		return;
	}
	if (S_ISLNK(status.st_mode)) {
		ssize_t got = readlinkat(dir_fd, path, target, sizeof(target) - 1);
		target[got > 0 ? got : 0] = 0;
	}
	file_put_status(&writer, &status, target);
	report_ok(report, reply, (size_t)(writer.at - reply));
}

static void stat_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	uint8_t flags = wire_u8(&reader);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader))
		refuse(report);
	else
		report_status(report, AT_FDCWD, path, (flags & STATUS_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW);
}

/* Entries go out as data: a length of 32 bits, the name, the record of the file. */
static void list_job(int report, const uint8_t *payload, size_t len)
{
	static uint8_t entry[FILE_ENTRY_BYTES];
	static char target[FILE_PATH_BYTES];
	uint8_t reply[8];
	uint64_t count = 0;
	struct wire_reader reader = {payload, len, false};
	const char *path = wire_text(&reader);
	if (!wire_end(&reader)) {
		refuse(report);
		return;
	}
	DIR *directory = opendir(path);
	if (directory == NULL) {
		file_fail(report, errno, path);
		return;
	}
	for (struct dirent *found; (found = readdir(directory)) != NULL;) {
		struct stat status;
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 ||
		    fstatat(dirfd(directory), found->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		ssize_t got = S_ISLNK(status.st_mode)
				      ? readlinkat(dirfd(directory), found->d_name, target, sizeof(target) - 1)
				      : 0;
		target[got > 0 ? got : 0] = 0;
		struct wire_writer writer = {entry + 4, sizeof(entry) - 4, false};
		struct wire_writer head = {entry, 4, false};
		wire_put_text(&writer, found->d_name);
		file_put_status(&writer, &status, target);
		wire_put_u32(&head, (uint32_t)(writer.at - entry - 4));
		if (file_put_out(entry, (size_t)(writer.at - entry)) < 0)
			return;
		count++;
	}
	if (file_flush() < 0)
		return;
	struct wire_writer writer = {reply, sizeof(reply), false};
	wire_put_u64(&writer, count);
	report_ok(report, reply, sizeof(reply));
}

static int copy_range(int fd, uint64_t offset, uint64_t length)
{
	static uint8_t buffer[FILE_COPY_BYTES];
	if (offset > 0 && lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	while (length > 0) {
		ssize_t got = read(fd, buffer, length < sizeof(buffer) ? (size_t)length : sizeof(buffer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		int error = file_write_all(STDOUT_FILENO, buffer, (size_t)got);
		if (error < 0)
			return error;
		length -= (uint64_t)got;
	}
	return 0;
}

static void read_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	uint64_t offset = wire_u64(&reader);
	uint64_t length = wire_u64(&reader);
	const char *path = wire_text(&reader);
	struct stat status;
	if (!wire_end(&reader) || offset > INT64_MAX) {
		refuse(report);
		return;
	}
	/* Without waiting: opening a FIFO or a device must not hang; they are no files to read. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int error = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
	if (error == 0 && !S_ISREG(status.st_mode))
		error = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if (error == 0)
		error = copy_range(fd, offset, length);
	if (error < 0)
		file_fail(report, -error, path);
	else
		report_status(report, fd, "", AT_EMPTY_PATH);
}

static void read_attributes(struct wire_reader *reader, struct file_attributes *out)
{
	out->mode = wire_u32(reader);
	out->uid = wire_u32(reader);
	out->gid = wire_u32(reader);
	out->mtime_ns = wire_u64(reader);
}

static void write_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	struct file_attributes attributes;
	uint32_t flags = wire_u32(&reader);
	read_attributes(&reader, &attributes);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader)) {
		refuse(report);
		return;
	}
	int error = file_put(path, STDIN_FILENO, UINT64_MAX, &attributes, flags);
	if (error < 0)
		file_fail(report, -error, path);
	else
		report_status(report, AT_FDCWD, path, 0);
}

static void mkdir_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	struct file_attributes attributes;
	uint32_t flags = wire_u32(&reader);
	read_attributes(&reader, &attributes);
	const char *path = wire_text(&reader);
	uint32_t mode = attributes.mode == FILE_KEEP ? 0755 : attributes.mode;
	if (!wire_end(&reader)) {
		refuse(report);
		return;
	}
	int error = 0;
	struct stat status;
	bool existed = stat(path, &status) == 0;
	if ((flags & FILE_PARENTS) != 0)
		error = file_make_directories(path, 0755);
	else if (mkdir(path, mode & 07777) < 0)
		error = -errno;
	if (error == 0 && !existed) {
		attributes.mode = mode;
		error = file_set_attributes(AT_FDCWD, path, &attributes, false);
	}
	finish(report, error, path);
}

int file_remove_tree(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int error = directory == NULL ? -errno : 0;
	for (struct dirent *found; error == 0 && (found = readdir(directory)) != NULL;) {
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
			error = file_remove_tree(fd, found->d_name);
	}
	if (directory != NULL)
		closedir(directory);
	if (error == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
		error = -errno;
	return error;
}

static void remove_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	uint32_t flags = wire_u32(&reader);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader)) {
		refuse(report);
		return;
	}
	int error = (flags & REMOVE_RECURSIVE) != 0 ? file_remove_tree(AT_FDCWD, path)
		    : remove(path) < 0		     ? -errno
						     : 0;
	finish(report, error == -ENOENT && (flags & REMOVE_MISSING_OK) != 0 ? 0 : error, path);
}

static void rename_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	const char *from = wire_text(&reader);
	const char *to = wire_text(&reader);
	if (!wire_end(&reader))
		refuse(report);
	else
		finish(report, rename(from, to) < 0 ? -errno : 0, from);
}

static void symlink_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	const char *target = wire_text(&reader);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader))
		refuse(report);
	else
		finish(report, symlink(target, path) < 0 ? -errno : 0, path);
}

static void attributes_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	struct file_attributes attributes;
	struct stat status;
	read_attributes(&reader, &attributes);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader)) {
		refuse(report);
		return;
	}
	int error = lstat(path, &status) < 0 ? -errno : 0;
	if (error == 0)
		error = file_set_attributes(AT_FDCWD, path, &attributes, S_ISLNK(status.st_mode));
	finish(report, error, path);
}

bool file_request(uint32_t stream_id, uint8_t type, const uint8_t *payload, size_t len)
{
	static const struct {
		uint8_t type;
		uint8_t flags;
		spawn_job job;
	} jobs[] = {
		{MESSAGE_FILE_STAT, 0, stat_job},
		{MESSAGE_FILE_LIST, JOB_OUTPUT, list_job},
		{MESSAGE_FILE_READ, JOB_OUTPUT, read_job},
		{MESSAGE_FILE_WRITE, JOB_INPUT, write_job},
		{MESSAGE_FILE_MKDIR, 0, mkdir_job},
		{MESSAGE_FILE_REMOVE, 0, remove_job},
		{MESSAGE_FILE_RENAME, 0, rename_job},
		{MESSAGE_FILE_SYMLINK, 0, symlink_job},
		{MESSAGE_FILE_ATTRIBUTES, 0, attributes_job},
		{MESSAGE_TREE_READ, JOB_OUTPUT, tree_read_job},
		{MESSAGE_TREE_WRITE, JOB_INPUT, tree_write_job},
	};
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		if (jobs[i].type == type) {
			exec_job(stream_id, jobs[i].job, jobs[i].flags, payload, len);
			return true;
		}
	}
	return false;
}
