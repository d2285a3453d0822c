#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int parent_fd = -1;
static char parent_path[128];
static unsigned next_number;
static struct cgroup *idle; /* released; possibly not empty yet */

static bool put(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t done = write(fd, text, strlen(text));
	close(fd);
	return done >= 0;
}

/* The number after `key ` in a file of "key number" lines; 0 when it is not there. */
static uint64_t get(int dir_fd, const char *name, const char *key)
{
	char text[512];
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	size_t key_len = strlen(key);
	for (char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_len) == 0 && line[key_len] == ' ')
			return strtoull(line + key_len + 1, NULL, 10);
	}
	return 0;
}

bool cgroup_init(const char *root)
{
	int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return false;
	if (faccessat(root_fd, "cgroup.procs", F_OK, 0) == 0) {
		put(root_fd, "cgroup.subtree_control", "+memory");
		put(root_fd, "cgroup.subtree_control", "+pids");
		if (mkdirat(root_fd, "hearth", 0755) == 0 || errno == EEXIST)
			parent_fd = openat(root_fd, "hearth", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	close(root_fd);
	if (parent_fd < 0)
		return false;
	snprintf(parent_path, sizeof(parent_path), "%s/hearth", root);
	put(parent_fd, "cgroup.subtree_control", "+memory");
	put(parent_fd, "cgroup.subtree_control", "+pids");
	return true;
}

static struct cgroup *take_idle(void)
{
	for (struct cgroup **at = &idle; *at != NULL; at = &(*at)->next) {
		struct cgroup *group = *at;
		if (get(group->dir_fd, "cgroup.events", "populated") == 0) {
			*at = group->next;
			return group;
		}
	}
	return NULL;
}

static struct cgroup *create(void)
{
	char name[32];
	struct cgroup *group = calloc(1, sizeof(*group));
	if (group == NULL)
		return NULL;
	snprintf(name, sizeof(name), "%u", ++next_number);
	if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST) {
		free(group);
		return NULL;
	}
	group->dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group->dir_fd < 0) {
		free(group);
		return NULL;
	}
	return group;
}

int cgroup_limit_all(uint64_t pids_max)
{
	char text[32] = "max";
	if (parent_fd < 0)
		return -ENOTSUP;
	if (pids_max > 0)
		snprintf(text, sizeof(text), "%" PRIu64, pids_max);
	return put(parent_fd, "pids.max", text) ? 0 : -errno;
}

static void limit(const struct cgroup *group, const char *name, uint64_t *current, uint64_t most)
{
	char text[32] = "max";
	if (most == *current)
		return;
	if (most > 0)
		snprintf(text, sizeof(text), "%" PRIu64, most);
	if (put(group->dir_fd, name, text))
		*current = most;
}

struct cgroup *cgroup_take(uint32_t pids_max, uint64_t memory_max)
{
	if (parent_fd < 0)
		return NULL;
	struct cgroup *group = take_idle();
	if (group == NULL)
		group = create();
	if (group == NULL)
		return NULL;
	limit(group, "pids.max", &group->pids_max, pids_max);
	limit(group, "memory.max", &group->memory_max, memory_max);
	group->oom_kills = get(group->dir_fd, "memory.events", "oom_kill");
	return group;
}

void cgroup_kill(const struct cgroup *group)
{
	put(group->dir_fd, "cgroup.kill", "1");
}

static int await_event(int fd, const char *key, uint64_t value)
{
	const struct timespec pause = {0, 1000000};
	for (int left_ms = 5000; left_ms > 0; left_ms--) {
		if (get(fd, "cgroup.events", key) == value)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

static int tell_all(int fd, const char *name, const char *text, const char *key, uint64_t value)
{
	return put(fd, name, text) ? await_event(fd, key, value) : -EIO;
}

int cgroup_all(enum processes_how how)
{
	if (parent_path[0] == 0)
		return -ENOTSUP;
	/* A job has none of the agent's descriptors. */
	int fd = open(parent_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = how == PROCESSES_END ? tell_all(fd, "cgroup.kill", "1", "populated", 0) : 0;
	if (error == 0) {
		bool still = how == PROCESSES_STAND_STILL;
		error = tell_all(fd, "cgroup.freeze", still ? "1" : "0", "frozen", still);
	}
	close(fd);
	return error;
}

bool cgroup_oom_killed(const struct cgroup *group)
{
	return get(group->dir_fd, "memory.events", "oom_kill") > group->oom_kills;
}

void cgroup_release(struct cgroup *group)
{
	group->next = idle;
	idle = group;
}
