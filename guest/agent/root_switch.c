#include "root_switch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { RAMFS_MAGIC = 0x858458f6, TMPFS_MAGIC = 0x01021994, MAX_DEPTH = 16 };

static void move_below(const char *from, const char *new_root)
{
	char to[256];
	snprintf(to, sizeof(to), "%s%s", new_root, from);
	mkdir(to, 0755);
	if (mount(from, to, NULL, MS_MOVE, NULL) < 0)
		dprintf(STDERR_FILENO, "hearth-agent: move %s: %s\n", from, strerror(errno));
}

/* Deletes what is below the directory on the same file system. Takes over dir_fd. */
static void delete_below(int dir_fd, dev_t device, int depth)
{
	DIR *directory = fdopendir(dir_fd);
	if (directory == NULL) {
		close(dir_fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		struct stat status;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    status.st_dev != device)
			continue;
		bool is_directory = S_ISDIR(status.st_mode);
		if (is_directory && depth < MAX_DEPTH) {
			int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd >= 0)
				delete_below(fd, device, depth + 1);
		}
		unlinkat(dirfd(directory), entry->d_name, is_directory ? AT_REMOVEDIR : 0);
	}
	closedir(directory);
}

int root_switch(const char *new_root)
{
	struct statfs kind;
	struct stat status;
	move_below("/dev", new_root);
	move_below("/proc", new_root);
	move_below("/sys", new_root);
	int old_root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (old_root < 0 || chdir(new_root) < 0) {
		int error = -errno;
		if (old_root >= 0)
			close(old_root);
		return error;
	}
	bool in_memory = fstatfs(old_root, &kind) == 0 &&
			 ((unsigned long)kind.f_type == RAMFS_MAGIC || (unsigned long)kind.f_type == TMPFS_MAGIC);
	if (in_memory && fstat(old_root, &status) == 0)
		delete_below(old_root, status.st_dev, 0);
	else
		close(old_root);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}
