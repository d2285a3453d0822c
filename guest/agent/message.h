/*
 * message.h - the messages between host and agent: numbers, fields, limits.
 *
 * Source: protocol/PROTOCOL.md, "Messages". protocol/vectors/message.tsv is
 * replayed here by test/message_test.c and by src/protocol/message.test.ts.
 *
 * Decoders return 0 or -EINVAL and point into the payload; nothing is allocated.
 */
#ifndef HEARTH_MESSAGE_H
#define HEARTH_MESSAGE_H

#include "wire.h"

enum {
	PROTOCOL_GENERATION = 1,
	/* What the host may send on channel 0 of a new stream without being asked. */
	PROTOCOL_INITIAL_WINDOW_BYTES = 64 * 1024,
	PROTOCOL_MAX_WINDOW_BYTES = 1024 * 1024,
	PROTOCOL_MAX_RING_BYTES = 16 * 1024 * 1024,
	PROTOCOL_MAX_RLIMITS = 16,
	PROTOCOL_MAX_ENTROPY_BYTES = 4096,
	PROTOCOL_MAX_PING_BYTES = 4096,
	HELLO_MAGIC_BYTES = 8,
	HELLO_NONCE_BYTES = 16,
	HELLO_BYTES = HELLO_MAGIC_BYTES + 4 + HELLO_NONCE_BYTES + 8,
};

/* Streams that the agent opens have this bit in their id. */
#define STREAM_FROM_GUEST UINT32_C(0x80000000)

extern const uint8_t hello_magic[HELLO_MAGIC_BYTES];

enum message_type {
	MESSAGE_HELLO = 0x01,
	MESSAGE_READY = 0x02,
	MESSAGE_OK = 0x03,
	MESSAGE_ERROR = 0x04,
	MESSAGE_WINDOW = 0x05,
	MESSAGE_RESET = 0x06,
	MESSAGE_CLOSED = 0x07,
	MESSAGE_DATA0 = 0x10,
	MESSAGE_DATA1 = 0x11,
	MESSAGE_DATA2 = 0x12,
	MESSAGE_EXEC = 0x20,
	MESSAGE_STARTED = 0x21,
	MESSAGE_EXIT = 0x22,
	MESSAGE_SIGNAL = 0x23,
	MESSAGE_RESIZE = 0x24,
	MESSAGE_ATTACH = 0x25,
	MESSAGE_EXEC_LIST = 0x26,
	MESSAGE_EXEC_FORGET = 0x27,
	MESSAGE_EXEC_KILL = 0x28,
	MESSAGE_PING = 0x30,
	MESSAGE_SET_CLOCK = 0x31,
	MESSAGE_ADD_ENTROPY = 0x32,
	MESSAGE_SET_HOSTNAME = 0x33,
	MESSAGE_SET_MACHINE_ID = 0x34,
	MESSAGE_GROW_ROOT = 0x35,
	MESSAGE_SYNC = 0x36,
	MESSAGE_FREEZE = 0x37,
	MESSAGE_THAW = 0x38,
	MESSAGE_SHUTDOWN = 0x39,
	MESSAGE_STATS = 0x3a,
	MESSAGE_SET_NETWORK = 0x3b,
	MESSAGE_PROCESSES = 0x3c,
	MESSAGE_SET_LIMITS = 0x3d,
	MESSAGE_FILE_STAT = 0x40,
	MESSAGE_FILE_LIST = 0x41,
	MESSAGE_FILE_READ = 0x42,
	MESSAGE_FILE_WRITE = 0x43,
	MESSAGE_FILE_MKDIR = 0x44,
	MESSAGE_FILE_REMOVE = 0x45,
	MESSAGE_FILE_RENAME = 0x46,
	MESSAGE_FILE_SYMLINK = 0x47,
	MESSAGE_FILE_ATTRIBUTES = 0x48,
	MESSAGE_TREE_READ = 0x49,
	MESSAGE_TREE_WRITE = 0x4a,
	MESSAGE_CONNECT = 0x50,
	MESSAGE_CONNECTED = 0x51,
	MESSAGE_LISTEN = 0x52,
	MESSAGE_LISTENING = 0x53,
	MESSAGE_ACCEPTED = 0x54,
};

bool message_is_data(uint8_t type);

struct hello {
	uint32_t generation;
	const uint8_t *nonce; /* HELLO_NONCE_BYTES */
	uint64_t clock_ns;    /* 0: leave the clock alone */
};

struct ready {
	const uint8_t *nonce;
	const char *agent_version;
	const char *kernel;
	const char *boot_id;
	const char *boot_error; /* "" when the root file system is in place */
	uint64_t uptime_us;
	uint32_t capabilities;
};

/* Bits of ready.capabilities. */
enum {
	CAPABILITY_GUEST = 1u << 0, /* it is PID 1 of a VM: clock, identity, shutdown work */
	CAPABILITY_CGROUP = 1u << 1,
};

enum {
	EXEC_TTY = 1u << 0,
	EXEC_STDIN = 1u << 1,
	EXEC_DETACHED = 1u << 2,
	EXEC_CREATE_CWD = 1u << 3,
	EXEC_ALL_FLAGS = 15,
};

struct exec_rlimit {
	uint32_t resource;
	uint64_t soft;
	uint64_t hard;
};

struct exec_request {
	uint32_t flags;
	uint32_t timeout_ms; /* 0: none */
	uint32_t grace_ms;   /* between SIGTERM and SIGKILL at the timeout; 0: SIGKILL at once */
	uint32_t window_bytes;
	uint32_t ring_bytes;
	uint16_t rows;
	uint16_t columns;
	uint32_t pids_max;   /* 0: none */
	uint64_t memory_max; /* bytes; 0: none */
	const char *user;
	const char *cwd;
	struct wire_list argv;
	struct wire_list env;
	uint32_t rlimit_count;
	struct exec_rlimit rlimits[PROTOCOL_MAX_RLIMITS];
};

struct started {
	uint64_t exec_id;
	uint32_t pid;
	uint32_t stdin_window;
	uint64_t stdout_cursor;
	uint64_t stderr_cursor;
};

enum {
	EXIT_TIMED_OUT = 1u << 0,
	EXIT_OOM_KILLED = 1u << 1,
	/* Killed, but the kernel has not let go of it in time. */
	EXIT_UNREAPED = 1u << 2,
};

struct exit_report {
	uint32_t flags;
	uint32_t exit_code;
	uint32_t signal; /* 0: exited by itself */
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
	uint64_t lost_bytes;
	uint64_t runtime_us;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_kib;
};

enum signal_target { TARGET_GROUP = 0, TARGET_PROCESS = 1, TARGET_ALL = 2 };

struct signal_request {
	uint64_t exec_id; /* 0 in SIGNAL, where the stream says which */
	uint8_t signal;
	uint8_t target;
};

struct resize_request {
	uint16_t rows;
	uint16_t columns;
};

struct attach_request {
	uint64_t exec_id;
	uint64_t stdout_cursor;
	uint64_t stderr_cursor;
	uint32_t window_bytes;
};

struct window {
	uint8_t channel;
	uint32_t bytes;
};

struct entropy_request {
	uint32_t credited_bits;
	struct wire_bytes bytes;
};

struct hostname_request {
	bool persist;
	const char *name;
};

enum processes_how { PROCESSES_GO_ON = 0, PROCESSES_STAND_STILL = 1, PROCESSES_END = 2 };

enum shutdown_how { SHUTDOWN_REBOOT = 0, SHUTDOWN_POWEROFF = 1, SHUTDOWN_HALT = 2 };

struct shutdown_request {
	uint8_t how;
	uint32_t grace_ms;
};

struct network_request {
	const char *interface;
	const uint8_t *mac; /* 6 bytes; all zero: leave */
	uint32_t address;   /* IPv4, host order; 0: only bring it up */
	uint8_t prefix_bits;
	uint32_t gateway;   /* 0: none */
	struct wire_list nameservers;
};

struct connect_request {
	uint8_t family; /* 0: TCP, 1: unix socket */
	const char *address;
	uint16_t port;
	uint32_t window_bytes;
};

struct listen_request {
	const char *address;
	uint16_t port; /* 0: any */
	uint16_t backlog;
};

int message_decode_hello(const uint8_t *payload, size_t len, struct hello *out);
int message_decode_exec(const uint8_t *payload, size_t len, struct exec_request *out);
int message_decode_signal(const uint8_t *payload, size_t len, struct signal_request *out);
int message_decode_exec_kill(const uint8_t *payload, size_t len, struct signal_request *out);
int message_decode_resize(const uint8_t *payload, size_t len, struct resize_request *out);
int message_decode_attach(const uint8_t *payload, size_t len, struct attach_request *out);
int message_decode_window(const uint8_t *payload, size_t len, struct window *out);
int message_decode_u64(const uint8_t *payload, size_t len, uint64_t *out);
int message_decode_entropy(const uint8_t *payload, size_t len, struct entropy_request *out);
int message_decode_hostname(const uint8_t *payload, size_t len, struct hostname_request *out);
int message_decode_text(const uint8_t *payload, size_t len, const char **out);
int message_decode_shutdown(const uint8_t *payload, size_t len, struct shutdown_request *out);
int message_decode_processes(const uint8_t *payload, size_t len, enum processes_how *how);
int message_decode_network(const uint8_t *payload, size_t len, struct network_request *out);
int message_decode_connect(const uint8_t *payload, size_t len, struct connect_request *out);
int message_decode_listen(const uint8_t *payload, size_t len, struct listen_request *out);

void message_encode_ready(struct wire_writer *writer, const struct ready *ready);
void message_encode_error(struct wire_writer *writer, const char *code, int error, const char *text);
void message_encode_window(struct wire_writer *writer, const struct window *window);
void message_encode_started(struct wire_writer *writer, const struct started *started);
void message_encode_exit(struct wire_writer *writer, const struct exit_report *report);

#endif
