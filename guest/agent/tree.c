/*
 * tree.c - whole directory trees as one stream of entries.
 *
 * An entry is a length of 32 bits, the path relative to the root of the tree ("" for
 * the root itself), the record of the file and, for a regular file, as many bytes as the
 * record's size says. A directory comes before what is in it. A length of 0 ends the stream.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "files_internal.h"
#include "spawn.h"

enum { TREE_CONTENTS = 1, TREE_OWNERS = 2 };

struct walk {
	bool contents;
	uint64_t entries;
	char path[FILE_PATH_BYTES]; /* relative */
	size_t path_len;
};

/* Sends exactly size bytes: a file that shrinks meanwhile is filled up with zeroes. */
static int send_content(int dir_fd, const char *name, uint64_t size)
{
	static uint8_t buffer[FILE_COPY_BYTES];
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int error = 0;
	while (size > 0 && error == 0) {
		size_t most = size < sizeof(buffer) ? (size_t)size : sizeof(buffer);
		ssize_t got = fd < 0 ? 0 : read(fd, buffer, most);
		if (got <= 0) {
			memset(buffer, 0, most);
			got = (ssize_t)most;
		}
		error = file_put_out(buffer, (size_t)got);
		size -= (uint64_t)got;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static int send_entry(struct walk *walk, int dir_fd, const char *name, const struct stat *status)
{
	static uint8_t entry[FILE_ENTRY_BYTES];
	static char target[FILE_PATH_BYTES];
	target[0] = 0;
	if (S_ISLNK(status->st_mode)) {
		ssize_t got = readlinkat(dir_fd, name, target, sizeof(target) - 1);
		target[got > 0 ? got : 0] = 0;
	}
	struct wire_writer head = {entry, 4, false};
	struct wire_writer writer = {entry + 4, sizeof(entry) - 4, false};
	wire_put_text(&writer, walk->path);
	file_put_status(&writer, status, target);
	wire_put_u32(&head, (uint32_t)(writer.at - entry - 4));
	int error = file_put_out(entry, (size_t)(writer.at - entry));
	if (error == 0 && walk->contents && S_ISREG(status->st_mode))
		error = send_content(dir_fd, name, (uint64_t)status->st_size);
	walk->entries++;
	return error;
}

static int send_tree(struct walk *walk, int dir_fd, const char *name)
{
	struct stat status;
	if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return walk->path_len == 0 ? -errno : 0; /* gone since it was listed */
	int error = send_entry(walk, dir_fd, name, &status);
	if (error < 0 || !S_ISDIR(status.st_mode))
		return error;
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (directory == NULL)
		return -errno;
	size_t before = walk->path_len;
	for (struct dirent *found; error == 0 && (found = readdir(directory)) != NULL;) {
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		size_t room = sizeof(walk->path) - before;
		int len = snprintf(walk->path + before, room, "%s%s", before == 0 ? "" : "/", found->d_name);
		if (len < 0 || (size_t)len >= room) {
			error = -ENAMETOOLONG;
			break;
		}
		walk->path_len = before + (size_t)len;
		error = send_tree(walk, fd, found->d_name);
	}
	walk->path_len = before;
	walk->path[before] = 0;
	closedir(directory);
	return error;
}

static void report_count(int report, uint64_t count)
{
	uint8_t reply[8];
	struct wire_writer writer = {reply, sizeof(reply), false};
	wire_put_u64(&writer, count);
	report_ok(report, reply, sizeof(reply));
}

void tree_read_job(int report, const uint8_t *payload, size_t len)
{
	static struct walk walk;
	static const uint8_t end[4];
	struct wire_reader reader = {payload, len, false};
	uint32_t flags = wire_u32(&reader);
	const char *path = wire_text(&reader);
	if (!wire_end(&reader)) {
		report_error(report, "REQUEST_INVALID", EINVAL, "TREE_READ");
		return;
	}
	walk.contents = (flags & TREE_CONTENTS) != 0;
	int error = send_tree(&walk, AT_FDCWD, path);
	if (error == 0)
		error = file_put_out(end, sizeof(end));
	if (error == 0)
		error = file_flush();
	if (error < 0)
		file_fail(report, -error, path);
	else
		report_count(report, walk.entries);
}

struct tree_entry {
	const char *path;
	const char *target;
	uint32_t mode;
	uint64_t size;
	uint32_t device_major, device_minor;
	struct file_attributes attributes;
};

/* A directory whose time is set once everything in it has been written. */
struct pending {
	struct pending *next;
	struct file_attributes attributes;
	char path[];
};

static int decode_entry(const uint8_t *bytes, size_t len, struct tree_entry *out)
{
	struct wire_reader reader = {bytes, len, false};
	out->path = wire_text(&reader);
	out->mode = wire_u32(&reader);
	out->attributes.mode = out->mode & 07777;
	out->attributes.uid = wire_u32(&reader);
	out->attributes.gid = wire_u32(&reader);
	out->size = wire_u64(&reader);
	out->attributes.mtime_ns = wire_u64(&reader);
	out->device_major = wire_u32(&reader);
	out->device_minor = wire_u32(&reader);
	wire_u64(&reader);
	wire_u32(&reader);
	out->target = wire_text(&reader);
	return wire_end(&reader) ? 0 : -EINVAL;
}

static bool stays_inside(const char *path)
{
	if (path[0] == '/')
		return false;
	for (const char *at = path; *at != 0;) {
		size_t len = strcspn(at, "/");
		if (len == 2 && at[0] == '.' && at[1] == '.')
			return false;
		at += len + (at[len] == '/' ? 1 : 0);
	}
	return true;
}

static int put_directory(const char *path, const struct tree_entry *entry, struct pending **pending)
{
	struct stat status;
	if (mkdir(path, 0700) < 0) {
		if (errno != EEXIST || stat(path, &status) < 0)
			return -errno;
		if (!S_ISDIR(status.st_mode))
			return -ENOTDIR;
	}
	size_t size = strlen(path) + 1;
	struct pending *added = malloc(sizeof(*added) + size);
	if (added == NULL)
		return -ENOMEM;
	added->attributes = entry->attributes;
	memcpy(added->path, path, size);
	added->next = *pending;
	*pending = added;
	return 0;
}

/* Replaces what is there, except a directory. */
static int put_special(const char *path, const struct tree_entry *entry)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	int result = S_ISLNK(entry->mode) ? symlink(entry->target, path)
					  : mknod(path, entry->mode & (S_IFMT | 07777),
						  makedev(entry->device_major, entry->device_minor));
	if (result < 0)
		return -errno;
	return file_set_attributes(AT_FDCWD, path, &entry->attributes, S_ISLNK(entry->mode));
}

/* Another name of a file that stands earlier in the tree. */
static int put_link(const char *root, const char *path, const struct tree_entry *entry)
{
	static char target[2 * FILE_PATH_BYTES];
	struct stat status;
	if (!stays_inside(entry->target))
		return -EINVAL;
	snprintf(target, sizeof(target), "%s/%s", root, entry->target);
	if (lstat(target, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (strcmp(target, path) == 0)
		return 0;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return link(target, path) < 0 ? -errno : 0;
}

/* Makes what is missing above the path; a tree need not have an entry for each directory. */
static int make_parent(const char *path)
{
	static char parent[2 * FILE_PATH_BYTES];
	struct stat status;
	snprintf(parent, sizeof(parent), "%s", path);
	char *slash = strrchr(parent, '/');
	if (slash == NULL || slash == parent)
		return 0;
	*slash = 0;
	return stat(parent, &status) == 0 ? 0 : file_make_directories(parent, 0755);
}

static int put_entry(const char *root, struct tree_entry *entry, uint32_t flags, struct pending **pending)
{
	static char path[2 * FILE_PATH_BYTES];
	if (!stays_inside(entry->path))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s%s%s", root, entry->path[0] == 0 ? "" : "/", entry->path);
	if ((flags & TREE_OWNERS) == 0)
		entry->attributes.uid = entry->attributes.gid = FILE_KEEP;
	int error = entry->path[0] == 0 ? 0 : make_parent(path);
	if (error < 0)
		return error;
	if (S_ISDIR(entry->mode))
		return put_directory(path, entry, pending);
	if (!S_ISREG(entry->mode))
		return put_special(path, entry);
	if (entry->target[0] != 0)
		return put_link(root, path, entry);
	struct stat status;
	/* A link of that name is replaced, not followed: the tree says what is there. */
	if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && unlink(path) < 0)
		return -errno;
	return file_put(path, STDIN_FILENO, entry->size, &entry->attributes, 0);
}

static int put_tree(const char *root, uint32_t flags, uint64_t *entries)
{
	static uint8_t bytes[FILE_ENTRY_BYTES];
	struct pending *pending = NULL;
	for (;;) {
		uint8_t head[4];
		struct tree_entry entry;
		int error = file_read_all(STDIN_FILENO, head, sizeof(head));
		if (error < 0)
			return error;
		struct wire_reader reader = {head, sizeof(head), false};
		uint32_t len = wire_u32(&reader);
		if (len == 0)
			break;
		if (len > sizeof(bytes))
			return -EMSGSIZE;
		error = file_read_all(STDIN_FILENO, bytes, len);
		if (error == 0)
			error = decode_entry(bytes, len, &entry);
		if (error == 0)
			error = put_entry(root, &entry, flags, &pending);
		if (error < 0)
			return error;
		(*entries)++;
	}
	/* Last in, first out: a directory after those inside it. */
	for (; pending != NULL; pending = pending->next) {
		int error = file_set_attributes(AT_FDCWD, pending->path, &pending->attributes, false);
		if (error < 0)
			return error;
	}
	return 0;
}

void tree_write_job(int report, const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	uint32_t flags = wire_u32(&reader);
	const char *path = wire_text(&reader);
	uint64_t entries = 0;
	if (!wire_end(&reader) || strlen(path) >= FILE_PATH_BYTES) {
		report_error(report, "REQUEST_INVALID", EINVAL, "TREE_WRITE");
		return;
	}
	int error = put_tree(path, flags, &entries);
	if (error < 0)
		file_fail(report, -error, path);
	else
		report_count(report, entries);
}
