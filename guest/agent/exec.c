#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_internal.h"

static struct exec *execs; /* newest first */
static size_t exec_count;

struct exec *exec_first(void)
{
	return execs;
}

struct exec *exec_find(uint64_t id)
{
	struct exec *exec = execs;
	while (exec != NULL && (exec->id != id || exec->is_job))
		exec = exec->next;
	return exec;
}

size_t exec_running(void)
{
	size_t running = 0;
	for (const struct exec *exec = execs; exec != NULL; exec = exec->next)
		running += exec->exited ? 0 : 1;
	return running;
}

void exec_release(struct exec *exec)
{
	for (struct exec **at = &execs; *at != NULL; at = &(*at)->next) {
		if (*at == exec) {
			*at = exec->next;
			break;
		}
	}
	exec_count--;
	timer_cancel(&exec->limit);
	timer_cancel(&exec->drain);
	loop_close(&exec->report);
	inlet_close(&exec->in);
	outlet_close(&exec->out[0]);
	outlet_close(&exec->out[1]);
	if (exec->group != NULL)
		cgroup_release(exec->group);
	free(exec->report_bytes);
	free(exec);
}

void exec_signal(struct exec *exec, int signal_number, enum signal_target target)
{
	if (target == TARGET_ALL && exec->group != NULL && signal_number == SIGKILL)
		cgroup_kill(exec->group);
	/* Once it is reaped its number may belong to somebody else. */
	if (exec->exited || exec->pid <= 0)
		return;
	if (target == TARGET_PROCESS || kill(-exec->pid, signal_number) < 0)
		kill(exec->pid, signal_number);
}

void exec_kill_all(int signal_number)
{
	for (struct exec *exec = execs; exec != NULL; exec = exec->next)
		exec_signal(exec, signal_number, TARGET_ALL);
}

void exec_report_exit(const struct exec *exec, struct exit_report *out)
{
	memset(out, 0, sizeof(*out));
	out->flags = (exec->timed_out ? EXIT_TIMED_OUT : 0u) | (exec->oom_killed ? EXIT_OOM_KILLED : 0u) |
		     (exec->unreaped ? EXIT_UNREAPED : 0u);
	if (exec->unreaped || WIFSIGNALED(exec->status))
		out->signal = exec->unreaped ? SIGKILL : (uint32_t)WTERMSIG(exec->status);
	else
		out->exit_code = (uint32_t)WEXITSTATUS(exec->status);
	out->stdout_bytes = exec->out[0].total;
	out->stderr_bytes = exec->out[1].total;
	out->lost_bytes = exec->out[0].lost + exec->out[1].lost;
	out->runtime_us = exec->ended_us - exec->started_us;
	out->user_us = exec->user_us;
	out->system_us = exec->system_us;
	out->max_rss_kib = exec->max_rss_kib;
}

static void forget_oldest(void)
{
	size_t kept = 0;
	struct exec *oldest = NULL;
	for (struct exec *exec = execs; exec != NULL; exec = exec->next) {
		if (!exec->detached || !exec->exited || exec->stream.id != 0)
			continue;
		kept++;
		oldest = exec;
	}
	if (kept > EXEC_KEPT)
		exec_release(oldest);
}

static void abandon(struct exec *exec)
{
	exec->abandoned = true;
	timer_cancel(&exec->limit);
	timer_cancel(&exec->drain);
	exec_signal(exec, SIGKILL, TARGET_ALL);
	if (exec->exited) {
		exec_release(exec);
		return;
	}
	loop_close(&exec->report);
	inlet_close(&exec->in);
	outlet_close(&exec->out[0]);
	outlet_close(&exec->out[1]);
}

static void send_end(struct exec *exec)
{
	if (exec->stream.id == 0)
		return;
	if (exec->reported) {
		stream_finish(&exec->stream, exec->report_bytes[0], exec->report_bytes + 1, exec->report_len - 1);
		return;
	}
	if (exec->is_job) {
		stream_finish_error(&exec->stream, "JOB_FAILED", 0, "the agent's helper ended without a result");
		return;
	}
	uint8_t payload[128];
	struct wire_writer writer = {payload, sizeof(payload), false};
	struct exit_report report;
	exec_report_exit(exec, &report);
	message_encode_exit(&writer, &report);
	stream_finish(&exec->stream, MESSAGE_EXIT, payload, (size_t)(writer.at - payload));
}

void exec_settle(struct exec *exec)
{
	if (exec->abandoned || (!exec->exited && !exec->unreaped))
		return;
	if (!outlet_done(&exec->out[0]) || !outlet_done(&exec->out[1]))
		return;
	timer_cancel(&exec->drain);
	outlet_leave(&exec->out[0]);
	outlet_leave(&exec->out[1]);
	inlet_close(&exec->in);
	send_end(exec);
	if (!exec->exited)
		abandon(exec);
	else if (exec->detached && !exec->reported)
		forget_oldest();
	else
		exec_release(exec);
}

void exec_on_output(struct outlet *outlet)
{
	struct outlet *first = outlet - (outlet->channel - 1);
	exec_settle(container_of(first, struct exec, out));
}

void exec_tell_started(struct exec *exec)
{
	uint8_t payload[64];
	struct wire_writer writer = {payload, sizeof(payload), false};
	struct started started = {
		.exec_id = exec->id,
		.pid = (uint32_t)exec->pid,
		.stdin_window = inlet_window(&exec->in),
		.stdout_cursor = exec->out[0].sent,
		.stderr_cursor = exec->out[1].sent,
	};
	message_encode_started(&writer, &started);
	stream_send(&exec->stream, MESSAGE_STARTED, payload, (size_t)(writer.at - payload));
}

/* The report pipe has closed: either the command runs, or the terminal message is complete. */
static void on_report_end(struct exec *exec)
{
	loop_close(&exec->report);
	exec->reported = exec->report_len > 0;
	if (exec->is_job)
		return;
	if (!exec->reported)
		exec_tell_started(exec);
	for (int i = 0; i < 2; i++) {
		exec->out[i].reading = true;
		if (exec->reported)
			exec->out[i].ended = exec->out[i].end_sent = true;
		outlet_pump(&exec->out[i]);
	}
}

static void read_report(struct exec *exec)
{
	while (exec->report.fd >= 0) {
		uint8_t byte;
		if (exec->report_bytes == NULL && exec->is_job)
			exec->report_bytes = malloc(EXEC_REPORT_BYTES);
		bool room = exec->report_bytes != NULL && exec->report_len < EXEC_REPORT_BYTES;
		ssize_t got = room ? read(exec->report.fd, exec->report_bytes + exec->report_len,
					  EXEC_REPORT_BYTES - exec->report_len)
				   : read(exec->report.fd, &byte, 1);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got == 0 || (got < 0 && errno != EINTR)) {
			on_report_end(exec);
		} else if (got > 0 && room) {
			exec->report_len += (size_t)got;
		} else if (got > 0 && exec->report_bytes == NULL) {
			/* Only a command that failed to start reports: most never need the memory. */
			exec->report_bytes = malloc(EXEC_REPORT_BYTES);
			if (exec->report_bytes != NULL)
				exec->report_bytes[exec->report_len++] = byte;
		}
	}
}

void exec_on_report(struct source *source, uint32_t events)
{
	(void)events;
	struct exec *exec = container_of(source, struct exec, report);
	read_report(exec);
	exec_settle(exec);
}

static void on_drain_over(struct timer *timer)
{
	struct exec *exec = container_of(timer, struct exec, drain);
	for (int i = 0; i < 2; i++) {
		outlet_limit(&exec->out[i]);
		outlet_pump(&exec->out[i]);
	}
	exec_settle(exec);
}

static void end_output(struct exec *exec)
{
	for (int i = 0; i < 2; i++)
		outlet_pump(&exec->out[i]);
	if (!exec->out[0].ended || !exec->out[1].ended)
		timer_set(&exec->drain, EXEC_DRAIN_MS);
	exec_settle(exec);
}

bool exec_reaped(pid_t pid, int status, const struct rusage *usage)
{
	struct exec *exec = execs;
	while (exec != NULL && (exec->pid != pid || exec->exited))
		exec = exec->next;
	if (exec == NULL)
		return false;
	/* A time limit ends the whole group, also when its leader went at the gentle signal. */
	if (exec->timed_out)
		exec_signal(exec, SIGKILL, TARGET_ALL);
	exec->exited = true;
	exec->status = status;
	exec->user_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec;
	exec->system_us = (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
	exec->max_rss_kib = (uint64_t)usage->ru_maxrss;
	exec->ended_us = loop_now_us();
	timer_cancel(&exec->limit);
	bool killed = (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		      (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL);
	exec->oom_killed = killed && exec->group != NULL && cgroup_oom_killed(exec->group);
	if (exec->abandoned) {
		exec_release(exec);
		return true;
	}
	read_report(exec);
	end_output(exec);
	return true;
}

static void on_time_over(struct timer *timer)
{
	struct exec *exec = container_of(timer, struct exec, limit);
	if (exec->timed_out && exec->grace_ms == 0) {
		/* Killed long ago and still there (stuck in the kernel): the call ends without it. */
		exec->unreaped = true;
		exec->ended_us = loop_now_us();
		outlet_limit(&exec->out[0]);
		outlet_limit(&exec->out[1]);
		end_output(exec);
		return;
	}
	bool gentle = !exec->timed_out && exec->grace_ms > 0;
	uint32_t next_ms = gentle ? exec->grace_ms : EXEC_REAP_MS;
	exec->timed_out = true;
	if (!gentle)
		exec->grace_ms = 0;
	exec_signal(exec, gentle ? SIGTERM : SIGKILL, TARGET_ALL);
	timer_set(&exec->limit, next_ms);
}

void exec_leave(struct exec *exec)
{
	if (!exec->detached || exec->reported) {
		abandon(exec);
		return;
	}
	outlet_pump(&exec->out[0]);
	outlet_pump(&exec->out[1]);
	exec_settle(exec);
}

struct exec *exec_create(uint32_t stream_id)
{
	struct exec *exec = exec_count >= EXEC_LIMIT ? NULL : calloc(1, sizeof(*exec));
	if (exec == NULL || !stream_open(&exec->stream, stream_id, &exec_stream_ops)) {
		free(exec);
		stream_refuse(stream_id, "TOO_MANY", EAGAIN, "too many commands or streams in this guest");
		return NULL;
	}
	exec->report.fd = exec->in.source.fd = exec->out[0].source.fd = exec->out[1].source.fd = -1;
	exec->limit.fire = on_time_over;
	exec->drain.fire = on_drain_over;
	exec->next = execs;
	execs = exec;
	exec_count++;
	return exec;
}
