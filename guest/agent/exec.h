/*
 * exec.h - commands and forked jobs: their streams, output, signals, time limits and ends.
 *
 * Source: protocol/PROTOCOL.md, "Commands". A command ends when its main process
 * has ended and its output is delivered: what was written before the end, and
 * what is written within EXEC_DRAIN_MS after it by processes it left behind.
 */
#ifndef HEARTH_EXEC_H
#define HEARTH_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "spawn.h"

enum {
	/* How long a background process may keep the output of a finished command open. */
	EXEC_DRAIN_MS = 100,
	/* How long the kernel may take to end a killed process before the host is told without it. */
	EXEC_REAP_MS = 5000,
	/* Finished detached commands whose output is kept; the oldest goes first. */
	EXEC_KEPT = 64,
	EXEC_LIMIT = 256,
};

/* Each answers on the stream, now or later. */
void exec_start(uint32_t stream_id, const uint8_t *payload, size_t len);
void exec_attach(uint32_t stream_id, const uint8_t *payload, size_t len);
void exec_list(uint32_t stream_id);
void exec_forget(uint32_t stream_id, const uint8_t *payload, size_t len);
void exec_kill(uint32_t stream_id, const uint8_t *payload, size_t len);
enum { JOB_INPUT = 1, JOB_OUTPUT = 2 };
/* Runs the job in a child of its own; it answers on the stream. The flags say which data it moves. */
void exec_job(uint32_t stream_id, spawn_job job, unsigned flags, const uint8_t *payload, size_t len);

/* A child has ended. False when it is no command of ours. */
struct rusage;
bool exec_reaped(pid_t pid, int status, const struct rusage *usage);
/* Kills every command and job. */
void exec_kill_all(int signal_number);
size_t exec_running(void);

#endif
