#include "session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "exec.h"
#include "files.h"
#include "forward.h"
#include "fsutil.h"
#include "loop.h"
#include "stream.h"
#include "system.h"

enum { READY_BYTES = 2048, BOOT_ID_BYTES = 64 };

void (*session_on_closed)(void);

static struct source listener = {.fd = -1};
static uint8_t current_nonce[HELLO_NONCE_BYTES];
static bool in_session;
static uint32_t last_host_stream;

static uint64_t uptime_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void send_ready(void)
{
	uint8_t payload[READY_BYTES];
	char boot_id[BOOT_ID_BYTES];
	struct utsname kernel;
	if (uname(&kernel) < 0)
		memset(&kernel, 0, sizeof(kernel));
	file_read_text("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	struct ready ready = {
		.nonce = current_nonce,
		.agent_version = AGENT_VERSION,
		.kernel = kernel.release,
		.boot_id = boot_id,
		.boot_error = agent.boot_error,
		.uptime_us = uptime_us(),
		.capabilities = (agent.is_guest ? CAPABILITY_GUEST : 0u) |
				(agent.has_cgroups ? CAPABILITY_CGROUP : 0u),
	};
	struct wire_writer writer = {payload, sizeof(payload), false};
	message_encode_ready(&writer, &ready);
	channel_send(0, MESSAGE_READY, payload, (size_t)(writer.at - payload));
}

static void on_hello(const struct hello *hello)
{
	/* The host repeats an unanswered HELLO: the same nonce is the same session. */
	if (!in_session || memcmp(hello->nonce, current_nonce, HELLO_NONCE_BYTES) != 0) {
		stream_drop_all();
		memcpy(current_nonce, hello->nonce, HELLO_NONCE_BYTES);
		in_session = true;
		last_host_stream = 0;
		if (agent.is_guest && hello->clock_ns != 0)
			system_set_clock(hello->clock_ns);
	}
	send_ready();
}

static void on_request(const struct frame *frame)
{
	uint32_t id = frame->stream_id;
	const uint8_t *payload = frame->payload;
	size_t len = frame->payload_bytes;
	switch (frame->type) {
	case MESSAGE_EXEC:
		exec_start(id, payload, len);
		return;
	case MESSAGE_ATTACH:
		exec_attach(id, payload, len);
		return;
	case MESSAGE_EXEC_LIST:
		exec_list(id);
		return;
	case MESSAGE_EXEC_FORGET:
		exec_forget(id, payload, len);
		return;
	case MESSAGE_EXEC_KILL:
		exec_kill(id, payload, len);
		return;
	case MESSAGE_CONNECT:
		forward_connect(id, payload, len);
		return;
	case MESSAGE_LISTEN:
		forward_listen(id, payload, len);
		return;
	default:
		if (file_request(id, frame->type, payload, len))
			return;
		if (!system_request(id, frame->type, payload, len))
			stream_refuse(id, "REQUEST_UNSUPPORTED", ENOSYS, "unknown request");
	}
}

static void on_frame(const struct frame *frame)
{
	struct stream *stream = stream_find(frame->stream_id);
	if (stream != NULL) {
		stream->ops->message(stream, frame->type, frame->payload, frame->payload_bytes);
		return;
	}
	/* Frames may still be under way to a stream that has ended. */
	if (frame->stream_id <= last_host_stream || frame->stream_id >= STREAM_FROM_GUEST)
		return;
	last_host_stream = frame->stream_id;
	on_request(frame);
}

static void on_lost(void)
{
	in_session = false;
	stream_drop_all();
	if (session_on_closed != NULL && listener.fd < 0)
		session_on_closed();
}

static const struct channel_handlers handlers = {on_hello, on_frame, on_lost};

static void on_host(struct source *source, uint32_t events)
{
	(void)events;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	in_session = false;
	stream_drop_all();
	if (session_start(fd, CHANNEL_SOCKET) < 0)
		close(fd);
}

int session_listen(int fd)
{
	listener.fd = fd;
	listener.ready = on_host;
	loop_watch(&listener, EPOLLIN);
	return 0;
}

int session_start(int fd, enum channel_kind kind)
{
	return channel_start(fd, kind, &handlers);
}
