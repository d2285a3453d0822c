/*
 * spawn.h - the child's side of a command: from fork to execve, and forked jobs.
 *
 * The child says why it failed by writing a terminal message (type, payload) to
 * its report pipe; a pipe that closes empty means that the command runs.
 */
#ifndef HEARTH_SPAWN_H
#define HEARTH_SPAWN_H

#include "message.h"

struct spawn_stdio {
	int in, out, err; /* err is -1 on a terminal */
	int report;
	bool tty; /* in is the terminal's own side, to become the controlling terminal */
};

/* A piece of the agent that may block. Standard input and output are the stream's channels 0 and 1. */
typedef void (*spawn_job)(int report, const uint8_t *payload, size_t len);

/* Like fork(); the child starts inside the control group when cgroup_fd is not -1. */
int spawn_fork(int cgroup_fd);
_Noreturn void spawn_command(const struct exec_request *request, const struct spawn_stdio *stdio);
_Noreturn void spawn_run_job(spawn_job job, const uint8_t *payload, size_t len,
			     const struct spawn_stdio *stdio);

/* For jobs: the result, once. */
void report_ok(int report, const void *payload, size_t len);
void report_error(int report, const char *code, int error, const char *text);

#endif
