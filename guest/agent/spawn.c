#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CLONE_INTO_CGROUP_FLAG UINT64_C(0x200000000)

/* struct clone_args of linux/sched.h, version 2 (88 bytes). */
struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
		set_tid_size, cgroup;
};

int spawn_fork(int cgroup_fd)
{
	if (cgroup_fd >= 0) {
		struct clone_arguments arguments = {
			.flags = CLONE_INTO_CGROUP_FLAG,
			.exit_signal = SIGCHLD,
			.cgroup = (uint64_t)cgroup_fd,
		};
		long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
		if (pid >= 0 || (errno != ENOSYS && errno != E2BIG && errno != EOPNOTSUPP))
			return (int)pid;
	}
	return (int)fork();
}

static void report(int fd, uint8_t type, const uint8_t *payload, size_t len)
{
	if (write(fd, &type, 1) == 1 && len > 0) {
		while (len > 0) {
			ssize_t put = write(fd, payload, len);
			if (put <= 0)
				return;
			payload += put;
			len -= (size_t)put;
		}
	}
}

void report_ok(int fd, const void *payload, size_t len)
{
	report(fd, MESSAGE_OK, payload, len);
}

void report_error(int fd, const char *code, int error, const char *text)
{
	uint8_t payload[2048];
	char cut[1536];
	snprintf(cut, sizeof(cut), "%s", text);
	struct wire_writer writer = {payload, sizeof(payload), false};
	message_encode_error(&writer, code, error, cut);
	report(fd, MESSAGE_ERROR, payload, (size_t)(writer.at - payload));
}

_Noreturn static void fail(int fd, const char *code, int error, const char *what)
{
	char text[1400];
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	report_error(fd, code, error, text);
	_exit(127);
}

/* Undoes what main.c has set up; every other disposition is the default already. */
static void default_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void default_oom_score(void)
{
	/* The agent itself may be exempt from the kernel's out-of-memory killer; its children never are. */
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t done = write(fd, "0", 1);
		(void)done;
		close(fd);
	}
}

/* 3 < every descriptor here, so nothing is overwritten before it has been duplicated. */
static void wire_stdio(const struct spawn_stdio *stdio)
{
	if (stdio->tty)
		ioctl(stdio->in, TIOCSCTTY, 0);
	dup2(stdio->in, STDIN_FILENO);
	dup2(stdio->out, STDOUT_FILENO);
	dup2(stdio->err < 0 ? stdio->out : stdio->err, STDERR_FILENO);
}

/* The agent's own descriptors, among them the near ends of everybody's pipes, must not live on in a child. */
static void close_all_but(int keep)
{
	syscall(SYS_close_range, 3, (unsigned)keep - 1, 0);
	syscall(SYS_close_range, (unsigned)keep + 1, UINT_MAX, 0);
}

static const char *find_env(struct wire_list env, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;
	const uint8_t *at = env.first;
	for (uint32_t i = 0; i < env.count; i++) {
		const char *entry = wire_list_next(&at);
		if (strncmp(entry, name, len) == 0 && entry[len] == '=')
			found = entry + len + 1;
	}
	return found;
}

/* The list as a NULL-ended vector with room for `extra` more. Never freed: exec follows. */
static char **vector_of(struct wire_list list, size_t extra)
{
	char **vector = calloc((size_t)list.count + extra + 1, sizeof(*vector));
	const uint8_t *at = list.first;
	for (uint32_t i = 0; vector != NULL && i < list.count; i++) {
		const char *text = wire_list_next(&at);
		memcpy(&vector[i], &text, sizeof(text));
	}
	return vector;
}

static void create_directories(const char *path)
{
	char part[4096];
	size_t len = strlen(path);
	if (len >= sizeof(part))
		return;
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (part[i] != '/' && part[i] != 0)
			continue;
		part[i] = 0;
		mkdir(part, 0755);
		part[i] = '/';
	}
}

static void enter_directory(const struct exec_request *request, int fd)
{
	const char *cwd = request->cwd[0] == 0 ? "/" : request->cwd;
	if (chdir(cwd) == 0)
		return;
	if (errno == ENOENT && (request->flags & EXEC_CREATE_CWD) != 0) {
		create_directories(cwd);
		if (chdir(cwd) == 0)
			return;
	}
	fail(fd, "EXEC_CWD_INVALID", errno, cwd);
}

static void become(const struct exec_request *request, const struct user *user, const struct spawn_stdio *stdio)
{
	for (uint32_t i = 0; i < request->rlimit_count; i++) {
		const struct exec_rlimit *wanted = &request->rlimits[i];
		struct rlimit limit = {wanted->soft, wanted->hard};
		if (setrlimit((int)wanted->resource, &limit) < 0)
			fail(stdio->report, "EXEC_LIMIT_INVALID", errno, "resource limit");
	}
	if (stdio->tty)
		(void)!fchown(STDIN_FILENO, user->uid, (gid_t)-1);
	/* Nothing to change and perhaps no right to: the agent serves itself outside of a VM, too. */
	if (geteuid() != 0 && user->uid == geteuid())
		return;
	if (setgroups(user->group_count, user->groups) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
		fail(stdio->report, "EXEC_USER_DENIED", errno, request->user);
}

/* execve, and as execvp does, a file without a known format is a shell script. */
static int run(const char *path, char **argv, char **env, size_t argc)
{
	execve(path, argv, env);
	if (errno != ENOEXEC)
		return errno;
	char **script = calloc(argc + 3, sizeof(*script));
	if (script == NULL)
		return ENOMEM;
	static char shell[] = "/bin/sh";
	script[0] = shell;
	memcpy(&script[1], &path, sizeof(path));
	memcpy(&script[2], &argv[1], argc * sizeof(*argv));
	execve(shell, script, env);
	return ENOEXEC;
}

static int search(const char *path, char **argv, char **env, size_t argc)
{
	const char *name = argv[0];
	char candidate[4096];
	int error = ENOENT;
	for (const char *at = path; at != NULL;) {
		const char *end = strchr(at, ':');
		size_t len = end == NULL ? strlen(at) : (size_t)(end - at);
		int written = snprintf(candidate, sizeof(candidate), "%.*s/%s", len == 0 ? 1 : (int)len,
				       len == 0 ? "." : at, name);
		if (written > 0 && (size_t)written < sizeof(candidate)) {
			int result = run(candidate, argv, env, argc);
			if (result == EACCES)
				error = EACCES;
			else if (result != ENOENT && result != ENOTDIR)
				return result;
		}
		at = end == NULL ? NULL : end + 1;
	}
	return error;
}

_Noreturn void spawn_command(const struct exec_request *request, const struct spawn_stdio *stdio)
{
	static struct user user;
	static char home[USER_MAX_HOME_BYTES + 8], path[] = "PATH=" DEFAULT_PATH, term[] = "TERM=xterm";
	setsid();
	default_signals();
	default_oom_score();
	wire_stdio(stdio);
	close_all_but(stdio->report);
	umask(022);
	int found = user_lookup(request->user, &user);
	if (found < 0)
		fail(stdio->report, "EXEC_USER_UNKNOWN", -found, request->user);
	enter_directory(request, stdio->report);
	become(request, &user, stdio);

	char **argv = vector_of(request->argv, 0);
	char **env = vector_of(request->env, 3);
	if (argv == NULL || env == NULL)
		fail(stdio->report, "EXEC_FAILED", ENOMEM, "memory for arguments");
	size_t env_count = request->env.count;
	if (find_env(request->env, "HOME") == NULL) {
		snprintf(home, sizeof(home), "HOME=%s", user.home);
		env[env_count++] = home;
	}
	const char *search_path = find_env(request->env, "PATH");
	if (search_path == NULL) {
		env[env_count++] = path;
		search_path = DEFAULT_PATH;
	}
	if (stdio->tty && find_env(request->env, "TERM") == NULL)
		env[env_count++] = term;

	int error = argv[0][0] == 0 ? ENOENT
		    : strchr(argv[0], '/') != NULL ? run(argv[0], argv, env, request->argv.count)
						   : search(search_path, argv, env, request->argv.count);
	bool missing = error == ENOENT || error == ENOTDIR;
	bool refused = error == EACCES || error == ENOEXEC || error == EPERM || error == EISDIR ||
		       error == ETXTBSY || error == ELOOP || error == ENAMETOOLONG;
	fail(stdio->report, missing ? "EXEC_NOT_FOUND" : refused ? "EXEC_NOT_EXECUTABLE" : "EXEC_FAILED", error,
	     argv[0]);
}

_Noreturn void spawn_run_job(spawn_job job, const uint8_t *payload, size_t len, const struct spawn_stdio *stdio)
{
	setsid();
	default_signals();
	signal(SIGPIPE, SIG_IGN);
	wire_stdio(stdio);
	close_all_but(stdio->report);
	umask(022);
	job(stdio->report, payload, len);
	_exit(0);
}
