#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "channel.h"
#include "exec.h"
#include "loop.h"
#include "stream.h"
#include "system.h"

enum {
	/* What is still running may take this long to die of SIGKILL. */
	KILL_MS = 2000,
	/* Writing everything back may take this long; the host is told how it went by the answer's absence. */
	SYNC_MS = 30000,
	FLUSH_MS = 1000,
};

enum phase { PHASE_NONE, PHASE_ASKED, PHASE_KILLED, PHASE_SYNCING };

static enum phase phase;
static uint8_t how;
static uint32_t reply_stream;
static struct timer limit;
static pid_t syncer;

static void finish(void)
{
	static const int commands[] = {RB_AUTOBOOT, RB_POWER_OFF, (int)RB_HALT_SYSTEM};
	stream_reply_ok(reply_stream, NULL, 0);
	channel_flush_wait(FLUSH_MS);
	if (!agent.is_guest)
		_exit(0);
	reboot(commands[how]);
	/* No way to power off on this machine: a reset ends the VM as well. */
	reboot(RB_AUTOBOOT);
}

static void write_back(void)
{
	phase = PHASE_SYNCING;
	syncer = fork();
	if (syncer == 0) {
		if (agent.is_guest) {
			sync();
			mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
		}
		_exit(0);
	}
	if (syncer < 0) {
		sync();
		finish();
	}
	timer_set(&limit, SYNC_MS);
}

static void kill_rest(void)
{
	phase = PHASE_KILLED;
	if (agent.is_guest)
		kill(-1, SIGKILL);
	else
		exec_kill_all(SIGKILL);
	timer_set(&limit, KILL_MS);
}

static void on_limit(struct timer *timer)
{
	(void)timer;
	if (phase == PHASE_ASKED)
		kill_rest();
	else if (phase == PHASE_KILLED)
		write_back();
	else
		finish();
}

void shutdown_on_no_children(void)
{
	if (phase == PHASE_ASKED || phase == PHASE_KILLED)
		write_back();
	else if (phase == PHASE_SYNCING)
		finish();
}

static bool no_children(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

void shutdown_request(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct shutdown_request request;
	if (message_decode_shutdown(payload, len, &request) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "SHUTDOWN");
		return;
	}
	if (phase != PHASE_NONE) {
		stream_refuse(stream_id, "SHUTTING_DOWN", EALREADY, "the guest is shutting down");
		return;
	}
	how = request.how;
	reply_stream = stream_id;
	limit.fire = on_limit;
	if (request.grace_ms == 0) {
		kill_rest();
	} else {
		phase = PHASE_ASKED;
		if (agent.is_guest)
			kill(-1, SIGTERM);
		else
			exec_kill_all(SIGTERM);
		timer_set(&limit, request.grace_ms);
	}
	if (no_children())
		shutdown_on_no_children();
}
