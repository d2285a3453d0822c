#include "system.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cgroup.h"
#include "exec.h"
#include "fsutil.h"
#include "stream.h"

static void fail(int report, int error, const char *what)
{
	char text[256];
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	report_error(report, "SYSTEM_FAILED", error, text);
}

int system_set_clock(uint64_t now_ns)
{
	struct timespec now = {(time_t)(now_ns / 1000000000), (long)(now_ns % 1000000000)};
	return clock_settime(CLOCK_REALTIME, &now) < 0 ? -errno : 0;
}

static uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Answers with the time before and after. */
static void set_clock(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	uint64_t wanted = 0;
	uint8_t reply[16];
	struct wire_writer writer = {reply, sizeof(reply), false};
	if (message_decode_u64(payload, len, &wanted) < 0 || wanted == 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "SET_CLOCK");
		return;
	}
	wire_put_u64(&writer, clock_ns());
	int error = system_set_clock(wanted);
	wire_put_u64(&writer, clock_ns());
	if (error < 0)
		stream_refuse(stream_id, "SYSTEM_FAILED", -error, "clock_settime");
	else
		stream_reply_ok(stream_id, reply, sizeof(reply));
}

static int add_entropy_bytes(const struct entropy_request *request)
{
	struct {
		int bits;
		int size;
		uint8_t bytes[PROTOCOL_MAX_ENTROPY_BYTES];
	} pool = {(int)request->credited_bits, (int)request->bytes.len, {0}};
	memcpy(pool.bytes, request->bytes.data, request->bytes.len);
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Credited bytes reach the generator at its next reseeding: ask for it now, or clones agree until then. */
	int error = kernel_ioctl(fd, IOCTL_RNDADDENTROPY, &pool) < 0 || kernel_ioctl(fd, IOCTL_RNDRESEEDCRNG, NULL) < 0 ? -errno : 0;
	close(fd);
	return error;
}

static void add_entropy(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct entropy_request request;
	if (message_decode_entropy(payload, len, &request) < 0 || request.bytes.len == 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "ADD_ENTROPY");
		return;
	}
	int error = add_entropy_bytes(&request);
	if (error < 0)
		stream_refuse(stream_id, "SYSTEM_FAILED", -error, "RNDADDENTROPY");
	else
		stream_reply_ok(stream_id, NULL, 0);
}

static void hostname_file_job(int report, const uint8_t *payload, size_t len)
{
	struct hostname_request request;
	char line[80];
	if (message_decode_hostname(payload, len, &request) < 0) {
		report_error(report, "REQUEST_INVALID", EINVAL, "SET_HOSTNAME");
		return;
	}
	snprintf(line, sizeof(line), "%s\n", request.name);
	int error = file_replace("/etc/hostname", line, 0644);
	if (error < 0)
		fail(report, -error, "/etc/hostname");
	else
		report_ok(report, NULL, 0);
}

/* Only the file may block, so only the file takes a process. */
static void set_hostname(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct hostname_request request;
	if (message_decode_hostname(payload, len, &request) < 0)
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "SET_HOSTNAME");
	else if (sethostname(request.name, strlen(request.name)) < 0)
		stream_refuse(stream_id, "SYSTEM_FAILED", errno, "sethostname");
	else if (request.persist)
		exec_job(stream_id, hostname_file_job, 0, payload, len);
	else
		stream_reply_ok(stream_id, NULL, 0);
}

static void machine_id_job(int report, const uint8_t *payload, size_t len)
{
	const char *id;
	char line[40];
	bool valid = message_decode_text(payload, len, &id) == 0 && strlen(id) == 32;
	for (size_t i = 0; valid && i < 32; i++)
		valid = isdigit((unsigned char)id[i]) || (id[i] >= 'a' && id[i] <= 'f');
	if (!valid) {
		report_error(report, "REQUEST_INVALID", EINVAL, "SET_MACHINE_ID");
		return;
	}
	snprintf(line, sizeof(line), "%s\n", id);
	int error = file_replace("/etc/machine-id", line, 0444);
	/* D-Bus keeps a copy of its own where it is not a link to the first. */
	if (error == 0 && access("/var/lib/dbus/machine-id", F_OK) == 0)
		error = file_replace("/var/lib/dbus/machine-id", line, 0444);
	if (error < 0)
		fail(report, -error, "/etc/machine-id");
	else
		report_ok(report, NULL, 0);
}

/* Grows the mounted root to `bytes` (0: to its device) and answers with its size. */
static void grow_root_job(int report, const uint8_t *payload, size_t len)
{
	uint64_t wanted = 0, device_bytes = 0;
	uint8_t reply[8];
	struct statvfs before, after;
	if (message_decode_u64(payload, len, &wanted) < 0) {
		report_error(report, "REQUEST_INVALID", EINVAL, "GROW_ROOT");
		return;
	}
	int device = open(agent.root_device, O_RDONLY | O_CLOEXEC);
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (device < 0 || root < 0 || kernel_ioctl(device, IOCTL_BLKGETSIZE64, &device_bytes) < 0 ||
	    fstatvfs(root, &before) < 0) {
		fail(report, errno, agent.root_device);
		return;
	}
	if (wanted == 0 || wanted > device_bytes)
		wanted = device_bytes;
	uint64_t blocks = wanted / before.f_frsize;
	if (kernel_ioctl(root, IOCTL_EXT4_RESIZE_FS, &blocks) < 0 || fstatvfs(root, &after) < 0) {
		fail(report, errno, "EXT4_IOC_RESIZE_FS");
		return;
	}
	struct wire_writer writer = {reply, sizeof(reply), false};
	wire_put_u64(&writer, blocks * after.f_frsize);
	report_ok(report, reply, sizeof(reply));
}

static void set_limits(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	uint64_t pids_max = 0;
	if (message_decode_u64(payload, len, &pids_max) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "SET_LIMITS");
		return;
	}
	int error = cgroup_limit_all(pids_max);
	if (error < 0)
		stream_refuse(stream_id, "SYSTEM_FAILED", -error, "pids.max");
	else
		stream_reply_ok(stream_id, NULL, 0);
}

static void sync_job(int report, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	sync();
	report_ok(report, NULL, 0);
}

static void freeze(int report, unsigned long operation, const char *what)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || kernel_ioctl(root, operation, NULL) < 0)
		fail(report, errno, what);
	else
		report_ok(report, NULL, 0);
}

static void freeze_job(int report, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	freeze(report, IOCTL_FIFREEZE, "FIFREEZE");
}

static void thaw_job(int report, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	freeze(report, IOCTL_FITHAW, "FITHAW");
}

static void processes_job(int report, const uint8_t *payload, size_t len)
{
	enum processes_how how;
	if (message_decode_processes(payload, len, &how) < 0) {
		report_error(report, "REQUEST_INVALID", EINVAL, "PROCESSES");
		return;
	}
	int error = cgroup_all(how);
	if (error < 0)
		fail(report, -error, "control groups");
	else
		report_ok(report, NULL, 0);
}

/* The number after `key:` in /proc/meminfo's text, in KiB. */
static uint64_t meminfo_kib(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

static void stats_job(int report, const uint8_t *payload, size_t len)
{
	char meminfo[4096];
	uint8_t reply[128];
	struct sysinfo info;
	struct statvfs root;
	(void)payload;
	(void)len;
	if (file_read_text("/proc/meminfo", meminfo, sizeof(meminfo)) < 0 || sysinfo(&info) < 0 ||
	    statvfs("/", &root) < 0) {
		fail(report, errno, "statistics");
		return;
	}
	struct wire_writer writer = {reply, sizeof(reply), false};
	wire_put_u64(&writer, meminfo_kib(meminfo, "MemTotal:") * 1024);
	wire_put_u64(&writer, meminfo_kib(meminfo, "MemFree:") * 1024);
	wire_put_u64(&writer, meminfo_kib(meminfo, "MemAvailable:") * 1024);
	for (int i = 0; i < 3; i++)
		wire_put_u32(&writer, (uint32_t)(info.loads[i] * 1000 / 65536));
	wire_put_u64(&writer, (uint64_t)info.uptime * 1000);
	wire_put_u32(&writer, info.procs);
	wire_put_u64(&writer, (uint64_t)root.f_blocks * root.f_frsize);
	wire_put_u64(&writer, (uint64_t)root.f_bavail * root.f_frsize);
	wire_put_u64(&writer, (uint64_t)root.f_files);
	wire_put_u64(&writer, (uint64_t)root.f_ffree);
	report_ok(report, reply, (size_t)(writer.at - reply));
}

bool system_request(uint32_t stream_id, uint8_t type, const uint8_t *payload, size_t len)
{
	if (type == MESSAGE_PING) {
		if (len > PROTOCOL_MAX_PING_BYTES)
			stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "PING");
		else
			stream_reply_ok(stream_id, payload, len);
		return true;
	}
	if (type == MESSAGE_STATS) {
		exec_job(stream_id, stats_job, 0, payload, len);
		return true;
	}
	if (type < MESSAGE_SET_CLOCK || type > MESSAGE_SET_LIMITS)
		return false;
	if (type == MESSAGE_SHUTDOWN) {
		shutdown_request(stream_id, payload, len);
		return true;
	}
	if (!agent.is_guest) {
		stream_refuse(stream_id, "NOT_A_GUEST", EPERM, "this agent does not run in a VM");
		return true;
	}
	switch (type) {
	case MESSAGE_SET_CLOCK:
		set_clock(stream_id, payload, len);
		break;
	case MESSAGE_ADD_ENTROPY:
		add_entropy(stream_id, payload, len);
		break;
	case MESSAGE_SET_HOSTNAME:
		set_hostname(stream_id, payload, len);
		break;
	case MESSAGE_SET_MACHINE_ID:
		exec_job(stream_id, machine_id_job, 0, payload, len);
		break;
	case MESSAGE_GROW_ROOT:
		exec_job(stream_id, grow_root_job, 0, payload, len);
		break;
	case MESSAGE_SET_LIMITS:
		set_limits(stream_id, payload, len);
		break;
	case MESSAGE_SYNC:
		exec_job(stream_id, sync_job, 0, payload, len);
		break;
	case MESSAGE_FREEZE:
		exec_job(stream_id, freeze_job, 0, payload, len);
		break;
	case MESSAGE_THAW:
		exec_job(stream_id, thaw_job, 0, payload, len);
		break;
	case MESSAGE_PROCESSES:
		exec_job(stream_id, processes_job, 0, payload, len);
		break;
	default:
		exec_job(stream_id, network_job, 0, payload, len);
		break;
	}
	return true;
}
