/*
 * main.c - hearth's guest agent.
 *
 * As PID 1 it boots the guest and serves the host over a virtio-serial port.
 * `hearth-agent --serve-fd N` serves the same protocol on a connected or listening
 * socket as an ordinary process, for tests; it then changes nothing but its own children.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "boot.h"
#include "exec.h"
#include "loop.h"
#include "session.h"
#include "system.h"

struct agent agent;

static struct source signals = {.fd = -1};

static void reap(void)
{
	struct rusage usage;
	int status;
	for (;;) {
		pid_t pid = wait4(-1, &status, WNOHANG, &usage);
		if (pid <= 0) {
			if (pid < 0 && errno == ECHILD)
				shutdown_on_no_children();
			return;
		}
		exec_reaped(pid, status, &usage);
	}
}

static void on_signal(struct source *source, uint32_t events)
{
	struct signalfd_siginfo info[8];
	(void)events;
	while (read(source->fd, info, sizeof(info)) > 0)
		;
	reap();
}

static int watch_children(void)
{
	sigset_t set;
	for (int number = 1; number <= 64; number++)
		signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals.fd < 0)
		return -errno;
	signals.ready = on_signal;
	loop_watch(&signals, EPOLLIN);
	return 0;
}

static void on_closed(void)
{
	if (agent.is_guest)
		return;
	exec_kill_all(SIGKILL);
	loop_stop();
}

/* Nobody can be told over the channel: say it on the console and end the VM. */
_Noreturn static void give_up(const char *what, int error)
{
	dprintf(STDERR_FILENO, "hearth-agent: %s: %s\n", what, strerror(error));
	if (agent.is_guest)
		reboot(RB_AUTOBOOT);
	exit(1);
}

static bool is_listening(int fd)
{
	int value = 0;
	socklen_t size = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value != 0;
}

static int parse_fd(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--serve-fd") != 0)
		return -1;
	char *end;
	long fd = strtol(argv[2], &end, 10);
	return *end == 0 && fd >= 0 && fd < 1024 ? (int)fd : -1;
}

/* Nothing that the agent was started with may reach the commands. */
static void close_inherited(int keep)
{
	syscall(SYS_close_range, 3, keep < 3 ? UINT_MAX : (unsigned)keep - 1, 0);
	if (keep >= 3)
		syscall(SYS_close_range, (unsigned)keep + 1, UINT_MAX, 0);
}

int main(int argc, char **argv)
{
	agent.is_guest = getpid() == 1;
	int fd = agent.is_guest ? -1 : parse_fd(argc, argv);
	if (!agent.is_guest && fd < 0) {
		dprintf(STDERR_FILENO, "hearth-agent %s: runs as /init of a hearth guest, or with --serve-fd N\n",
			AGENT_VERSION);
		return 2;
	}
	close_inherited(fd);
	if (agent.is_guest)
		boot_guest();
	else
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	int error = loop_init();
	if (error == 0)
		error = watch_children();
	if (error < 0)
		give_up("event loop", -error);
	if (agent.is_guest)
		fd = boot_open_channel();
	if (fd < 0)
		give_up("channel to the host", -fd);
	session_on_closed = on_closed;
	error = is_listening(fd) ? session_listen(fd)
				 : session_start(fd, agent.is_guest ? CHANNEL_PORT : CHANNEL_SOCKET);
	if (error < 0)
		give_up("channel to the host", -error);
	loop_run(channel_flush);
	return 0;
}
