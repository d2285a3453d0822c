/*
 * cgroup.h - one control group per command: limits, killing all of it, out-of-memory kills.
 *
 * Groups are reused once they are empty. Without cgroup2 everything here does
 * nothing and commands are killed by their process group.
 */
#ifndef HEARTH_CGROUP_H
#define HEARTH_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

struct cgroup {
	int dir_fd;
	uint64_t oom_kills; /* before this use */
	uint64_t pids_max, memory_max; /* as set; 0: none */
	struct cgroup *next;
};

/* Uses the cgroup2 mounted at root. Returns whether groups are available. */
bool cgroup_init(const char *root);
/* The most processes of all commands together (0: no limit). Returns 0 or -errno. */
int cgroup_limit_all(uint64_t pids_max);
/* An empty group with these limits (0: none), or NULL. */
struct cgroup *cgroup_take(uint32_t pids_max, uint64_t memory_max);
void cgroup_kill(const struct cgroup *group);
/* Whether the kernel killed a process of this group for lack of memory since it was taken. */
bool cgroup_oom_killed(const struct cgroup *group);
/*
 * What every process of every command does from now on. Returns 0 once all of them do, or -errno: -ENOTSUP without
 * groups, -ETIMEDOUT after 5 s.
 */
int cgroup_all(enum processes_how how);
/* Hands a group back; processes may still be in it. */
void cgroup_release(struct cgroup *group);

#endif
