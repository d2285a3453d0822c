#include "boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cgroup.h"
#include "fsutil.h"
#include "root_switch.h"
#include "system.h"

#define MODULE_LIST "/hearth/modules"
#define NETWORK_MODULE_LIST "/hearth/network-modules"
#define PORT_CLASS "/sys/class/virtio-ports"
#define PORT_NAME "hearth.agent"
#define NEW_ROOT "/newroot"

enum { DEVICE_WAIT_MS = 10000, DEVICE_POLL_MS = 2, CMDLINE_BYTES = 4096 };

/* struct sockaddr_vm of linux/vm_sockets.h. */
struct vsock_address {
	unsigned short family;
	unsigned short reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t zero[4];
};

static char cmdline[CMDLINE_BYTES];

static void note_error(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (agent.boot_error[0] == 0)
		vsnprintf(agent.boot_error, sizeof(agent.boot_error), format, arguments);
	va_end(arguments);
	dprintf(STDERR_FILENO, "hearth-agent: %s\n", agent.boot_error);
}

/* The value of the last `key=value` word of the kernel command line, or fallback. */
static void argument(const char *key, const char *fallback, char *out, size_t size)
{
	size_t key_len = strlen(key);
	snprintf(out, size, "%s", fallback);
	for (const char *at = cmdline; *at != 0;) {
		size_t len = strcspn(at, " \n");
		if (len > key_len && strncmp(at, key, key_len) == 0 && at[key_len] == '=')
			snprintf(out, size, "%.*s", (int)(len - key_len - 1), at + key_len + 1);
		at += len;
		at += strspn(at, " \n");
	}
}

static void mount_at(const char *type, const char *path, unsigned long flags, const char *options)
{
	mkdir(path, 0755);
	if (mount(type, path, type, flags, options) < 0 && errno != EBUSY)
		dprintf(STDERR_FILENO, "hearth-agent: mount %s on %s: %s\n", type, path, strerror(errno));
}

static void open_console(void)
{
	int console = open("/dev/console", O_RDWR | O_NOCTTY);
	int null = open("/dev/null", O_RDWR);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(console >= 0 ? console : null, STDOUT_FILENO);
	dup2(console >= 0 ? console : null, STDERR_FILENO);
	if (console > STDERR_FILENO)
		close(console);
	if (null > STDERR_FILENO)
		close(null);
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		note_error("module %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void load_modules(const char *list_path)
{
	static char list[16 * 1024];
	if (file_read_text(list_path, list, sizeof(list)) < 0)
		return;
	char *rest = NULL;
	for (char *path = strtok_r(list, "\n", &rest); path != NULL; path = strtok_r(NULL, "\n", &rest))
		load_module(path);
}

static void pause_ms(long ms)
{
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&wait, NULL);
}

static bool wait_for_path(const char *path)
{
	for (int waited = 0; waited < DEVICE_WAIT_MS; waited += DEVICE_POLL_MS) {
		if (access(path, F_OK) == 0)
			return true;
		pause_ms(DEVICE_POLL_MS);
	}
	return false;
}

/* Takes a leading ro or rw off the options; the rest is for the file system. */
static const char *mount_options(const char *options, unsigned long *read_only)
{
	size_t len = strcspn(options, ",");
	bool is_ro = len == 2 && strncmp(options, "ro", 2) == 0;
	bool is_rw = len == 2 && strncmp(options, "rw", 2) == 0;
	*read_only = is_ro ? MS_RDONLY : 0;
	if (is_ro || is_rw)
		options += len + (options[len] == ',' ? 1 : 0);
	return options;
}

static bool mount_root(void)
{
	char type[32], flags[256];
	argument("hearth.root", "/dev/vda", agent.root_device, sizeof(agent.root_device));
	argument("hearth.rootfstype", "ext4", type, sizeof(type));
	argument("hearth.rootflags", "rw", flags, sizeof(flags));
	unsigned long read_only = 0;
	const char *options = mount_options(flags, &read_only);
	mkdir(NEW_ROOT, 0755);
	if (!wait_for_path(agent.root_device)) {
		note_error("root device %s has not appeared within %d s", agent.root_device, DEVICE_WAIT_MS / 1000);
		return false;
	}
	if (mount(agent.root_device, NEW_ROOT, type, read_only | MS_NOATIME, options) < 0) {
		note_error("mount %s (%s, %s): %s", agent.root_device, type, flags, strerror(errno));
		return false;
	}
	return true;
}

static void mount_system(void)
{
	mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
}

static void mount_rest(void)
{
	mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
	mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_at("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
	mkdir("/run/lock", 01777);
	mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

static void set_identity(void)
{
	char hostname[65], hosts[256];
	struct stat status;
	argument("hearth.hostname", "hearth", hostname, sizeof(hostname));
	sethostname(hostname, strlen(hostname));
	/* Images often have no hosts file, or an empty one left behind by a container engine. */
	if (stat("/etc/hosts", &status) == 0 && status.st_size > 0)
		return;
	snprintf(hosts, sizeof(hosts), "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t%s\n", hostname);
	file_replace("/etc/hosts", hosts, 0644);
}

static void set_limits(void)
{
	struct rlimit files = {1024, 524288};
	setrlimit(RLIMIT_NOFILE, &files);
	file_write_text("/proc/self/oom_score_adj", "-1000");
	/* As in a container: a service needs no root for port 80. */
	file_write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

void boot_guest(void)
{
	char network[4];
	reboot(RB_DISABLE_CAD);
	umask(022);
	mount_system();
	open_console();
	file_read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	load_modules(MODULE_LIST);
	argument("hearth.network", "0", network, sizeof(network));
	if (strcmp(network, "1") == 0)
		load_modules(NETWORK_MODULE_LIST);
	if (mount_root()) {
		int error = root_switch(NEW_ROOT);
		if (error < 0)
			note_error("switch to the root file system: %s", strerror(-error));
	}
	mount_rest();
	agent.has_cgroups = cgroup_init("/sys/fs/cgroup");
	set_limits();
	set_identity();
	network_loopback_up();
}

/* The device of the port with our name; false when it is not there yet. */
static bool find_port(char *device, size_t size)
{
	DIR *ports = opendir(PORT_CLASS);
	bool found = false;
	for (struct dirent *entry; ports != NULL && !found && (entry = readdir(ports)) != NULL;) {
		char path[512], name[64];
		snprintf(path, sizeof(path), PORT_CLASS "/%.200s/name", entry->d_name);
		found = file_read_text(path, name, sizeof(name)) > 0 && strcmp(name, PORT_NAME) == 0;
		if (found)
			snprintf(device, size, "/dev/%.200s", entry->d_name);
	}
	if (ports != NULL)
		closedir(ports);
	return found;
}

static int listen_vsock(unsigned port)
{
	struct vsock_address address = {.family = AF_VSOCK, .port = port, .cid = UINT32_MAX};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int boot_open_channel(void)
{
	char device[256], vsock_port[16];
	argument("hearth.vsock", "", vsock_port, sizeof(vsock_port));
	if (vsock_port[0] != 0)
		return listen_vsock((unsigned)strtoul(vsock_port, NULL, 10));
	for (int waited = 0; waited < DEVICE_WAIT_MS; waited += DEVICE_POLL_MS) {
		if (find_port(device, sizeof(device))) {
			int fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
			if (fd >= 0)
				return fd;
			if (errno != ENOENT)
				return -errno;
		}
		pause_ms(DEVICE_POLL_MS);
	}
	return -ENODEV;
}
