#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "exec_internal.h"
#include "fsutil.h"

enum { PIPES = 4 };

/* The agent's side and the child's side of each descriptor; -1 where there is none. */
struct plumbing {
	int near[PIPES]; /* in, out, err, report */
	int far[PIPES];
	bool tty;
};

static void plumbing_close_far(struct plumbing *plumbing)
{
	for (int i = 0; i < PIPES; i++) {
		if (plumbing->far[i] >= 0)
			close(plumbing->far[i]);
		plumbing->far[i] = -1;
	}
}

static void plumbing_close(struct plumbing *plumbing)
{
	plumbing_close_far(plumbing);
	for (int i = 0; i < PIPES; i++)
		if (plumbing->near[i] >= 0)
			close(plumbing->near[i]);
}

static int add_pipe(struct plumbing *plumbing, int index, bool from_child)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	plumbing->near[index] = ends[from_child ? 0 : 1];
	plumbing->far[index] = ends[from_child ? 1 : 0];
	fcntl(plumbing->near[index], F_SETFL, O_NONBLOCK);
	return 0;
}

static int add_null(struct plumbing *plumbing, int index, int flags)
{
	plumbing->far[index] = open("/dev/null", flags | O_CLOEXEC);
	return plumbing->far[index] < 0 ? -errno : 0;
}

static int add_terminal(struct plumbing *plumbing, uint16_t rows, uint16_t columns)
{
	char name[64];
	int number = 0;
	int unlock = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (master < 0)
		return -errno;
	plumbing->near[0] = master;
	if (kernel_ioctl(master, TIOCSPTLCK, &unlock) < 0 || kernel_ioctl(master, TIOCGPTN, &number) < 0)
		return -errno;
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	if (rows > 0 && columns > 0)
		ioctl(master, TIOCSWINSZ, &size);
	snprintf(name, sizeof(name), "/dev/pts/%d", number);
	plumbing->far[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	plumbing->far[1] = plumbing->far[0] < 0 ? -1 : fcntl(plumbing->far[0], F_DUPFD_CLOEXEC, 3);
	plumbing->near[1] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	plumbing->tty = true;
	return plumbing->far[1] < 0 || plumbing->near[1] < 0 ? -errno : 0;
}

static int lay(struct plumbing *plumbing, const struct exec_request *request)
{
	int error = 0;
	if ((request->flags & EXEC_TTY) != 0) {
		error = add_terminal(plumbing, request->rows, request->columns);
	} else {
		error = (request->flags & EXEC_STDIN) != 0 ? add_pipe(plumbing, 0, false)
							  : add_null(plumbing, 0, O_RDONLY);
		if (error == 0)
			error = add_pipe(plumbing, 1, true);
		if (error == 0)
			error = add_pipe(plumbing, 2, true);
	}
	return error == 0 ? add_pipe(plumbing, 3, true) : error;
}

static int lay_job(struct plumbing *plumbing, unsigned flags)
{
	int error = (flags & JOB_INPUT) != 0 ? add_pipe(plumbing, 0, false) : add_null(plumbing, 0, O_RDONLY);
	if (error == 0)
		error = (flags & JOB_OUTPUT) != 0 ? add_pipe(plumbing, 1, true)
						  : add_null(plumbing, 1, O_WRONLY);
	return error == 0 ? add_pipe(plumbing, 3, true) : error;
}

static void refuse(struct exec *exec, struct plumbing *plumbing, int error, const char *what)
{
	char text[128];
	plumbing_close(plumbing);
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	stream_finish_error(&exec->stream, "EXEC_FAILED", error, text);
	exec_release(exec);
}

static struct spawn_stdio stdio_of(const struct plumbing *plumbing)
{
	struct spawn_stdio stdio = {plumbing->far[0], plumbing->far[1], plumbing->far[2], plumbing->far[3],
				    plumbing->tty};
	return stdio;
}

/* Tells the host that nobody reads any more; it ends its side and sends nothing further. */
static void on_stdin_over(struct inlet *inlet)
{
	if (inlet->broken)
		stream_send(inlet->stream, MESSAGE_DATA0, NULL, 0);
}

/* Takes over the near ends. Returns 0 or -errno. */
static int connect_ends(struct exec *exec, struct plumbing *plumbing, size_t ring_bytes)
{
	enum inlet_end end = plumbing->tty ? INLET_TTY : INLET_CLOSE;
	inlet_open(&exec->in, plumbing->near[0], &exec->stream, end, on_stdin_over);
	exec->report.fd = plumbing->near[3];
	exec->report.ready = exec_on_report;
	int error = 0;
	for (int i = 0; i < 2; i++) {
		int fd = plumbing->near[i + 1];
		int result = outlet_open(&exec->out[i], fd, &exec->stream, (uint8_t)(i + 1), fd < 0 ? 0 : ring_bytes,
					 exec_on_output);
		if (fd < 0)
			exec->out[i].ended = exec->out[i].end_sent = true;
		error = result < 0 ? result : error;
	}
	for (int i = 0; i < PIPES; i++)
		plumbing->near[i] = -1;
	return error;
}

static void follow(struct exec *exec, struct plumbing *plumbing, pid_t pid)
{
	plumbing_close_far(plumbing);
	exec->pid = pid;
	exec->started_us = loop_now_us();
	loop_watch(&exec->report, EPOLLIN);
}

void exec_start(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	static uint64_t next_id;
	struct exec_request request;
	struct plumbing plumbing = {{-1, -1, -1, -1}, {-1, -1, -1, -1}, false};
	if (message_decode_exec(payload, len, &request) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "EXEC");
		return;
	}
	struct exec *exec = exec_create(stream_id);
	if (exec == NULL)
		return;
	exec->id = ++next_id;
	exec->detached = (request.flags & EXEC_DETACHED) != 0;
	exec->tty = (request.flags & EXEC_TTY) != 0;
	exec->grace_ms = request.grace_ms;
	const uint8_t *first = request.argv.first;
	snprintf(exec->name, sizeof(exec->name), "%s", wire_list_next(&first));

	int error = lay(&plumbing, &request);
	if (error == 0)
		error = connect_ends(exec, &plumbing, exec->detached ? request.ring_bytes : 0);
	if (error < 0) {
		refuse(exec, &plumbing, -error, "pipes");
		return;
	}
	exec->out[0].credit = exec->out[1].credit = request.window_bytes;
	exec->group = cgroup_take(request.pids_max, request.memory_max);
	struct spawn_stdio stdio = stdio_of(&plumbing);
	pid_t pid = spawn_fork(exec->group == NULL ? -1 : exec->group->dir_fd);
	if (pid == 0)
		spawn_command(&request, &stdio);
	if (pid < 0) {
		refuse(exec, &plumbing, errno, "fork");
		return;
	}
	follow(exec, &plumbing, pid);
	if (request.timeout_ms > 0)
		timer_set(&exec->limit, request.timeout_ms);
}

void exec_job(uint32_t stream_id, spawn_job job, unsigned flags, const uint8_t *payload, size_t len)
{
	struct plumbing plumbing = {{-1, -1, -1, -1}, {-1, -1, -1, -1}, false};
	struct exec *exec = exec_create(stream_id);
	if (exec == NULL)
		return;
	exec->is_job = true;
	int error = lay_job(&plumbing, flags);
	if (error == 0)
		error = connect_ends(exec, &plumbing, 0);
	if (error < 0) {
		refuse(exec, &plumbing, -error, "pipes");
		return;
	}
	struct spawn_stdio stdio = stdio_of(&plumbing);
	pid_t pid = spawn_fork(-1);
	if (pid == 0)
		spawn_run_job(job, payload, len, &stdio);
	if (pid < 0) {
		refuse(exec, &plumbing, errno, "fork");
		return;
	}
	follow(exec, &plumbing, pid);
	exec->out[0].reading = true;
	outlet_pump(&exec->out[0]);
}
