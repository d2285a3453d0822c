/* exec_internal.h - the command as exec.c, exec_start.c and exec_requests.c share it. */
#ifndef HEARTH_EXEC_INTERNAL_H
#define HEARTH_EXEC_INTERNAL_H

#include "cgroup.h"
#include "exec.h"
#include "pipe_end.h"

enum { EXEC_REPORT_BYTES = 64 * 1024 };

struct exec {
	struct stream stream; /* open while a host is attached */
	struct exec *next;
	uint64_t id;
	pid_t pid;
	bool is_job;
	bool detached;
	bool tty;
	bool abandoned; /* nobody wants the result: free it when it is reaped */
	bool reported;  /* the report holds the terminal message */
	bool exited;
	bool timed_out;
	bool oom_killed;
	bool unreaped;
	uint32_t grace_ms;
	int status;
	struct source report;
	uint8_t *report_bytes;
	size_t report_len;
	struct inlet in;
	struct outlet out[2];
	struct timer limit; /* the command's time, then its grace, then the kernel's */
	struct timer drain;
	struct cgroup *group;
	uint64_t started_us, ended_us;
	uint64_t user_us, system_us, max_rss_kib;
	char name[64];
};

extern const struct stream_ops exec_stream_ops;

/* A new record on the stream with all descriptors closed; NULL when there are too many: refused. */
struct exec *exec_create(uint32_t stream_id);
void exec_release(struct exec *exec);
struct exec *exec_find(uint64_t id);
struct exec *exec_first(void);
void exec_on_output(struct outlet *outlet);
void exec_on_report(struct source *source, uint32_t events);
void exec_signal(struct exec *exec, int signal_number, enum signal_target target);
/* Sends STARTED to the host that is attached. */
void exec_tell_started(struct exec *exec);
void exec_report_exit(const struct exec *exec, struct exit_report *out);
/* Ends the call when everything is delivered; may free exec. */
void exec_settle(struct exec *exec);
/* The host is gone from it: a detached command goes on, anything else is killed. May free exec. */
void exec_leave(struct exec *exec);

#endif
