#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "forward_internal.h"
#include "message.h"
#include "pipe_end.h"

struct forward {
	struct stream stream;
	struct source connecting;
	struct inlet in;
	struct outlet out;
	bool in_over; /* the host's end has been passed on */
	uint32_t window_bytes;
};

static void release(struct forward *forward)
{
	loop_close(&forward->connecting);
	inlet_close(&forward->in);
	outlet_close(&forward->out);
	free(forward);
}

static void finish(struct forward *forward)
{
	stream_finish(&forward->stream, MESSAGE_CLOSED, NULL, 0);
	release(forward);
}

/* Both directions have ended. May free it. */
static void settle(struct forward *forward)
{
	if (forward->in_over && outlet_done(&forward->out))
		finish(forward);
}

static void on_output(struct outlet *outlet)
{
	settle(container_of(outlet, struct forward, out));
}

static void on_input_over(struct inlet *inlet)
{
	container_of(inlet, struct forward, in)->in_over = true;
}

static void on_input(struct forward *forward, const uint8_t *payload, size_t len)
{
	inlet_data(&forward->in, payload, len);
	if (forward->in.broken)
		finish(forward);
	else
		settle(forward);
}

/* The rest of the input went out later than it came. */
static void on_input_ready(struct source *source, uint32_t events)
{
	struct forward *forward = container_of(container_of(source, struct inlet, source), struct forward, in);
	inlet_ready(&forward->in, events);
	if (forward->in.broken)
		finish(forward);
	else
		settle(forward);
}

static void on_message(struct stream *stream, uint8_t type, const uint8_t *payload, size_t len)
{
	struct forward *forward = container_of(stream, struct forward, stream);
	struct window window;
	if (type == MESSAGE_RESET)
		finish(forward);
	else if (type == MESSAGE_DATA0 && forward->out.reading)
		on_input(forward, payload, len);
	else if (type == MESSAGE_WINDOW && message_decode_window(payload, len, &window) == 0)
		outlet_grant(&forward->out, window.bytes);
}

static void on_room(struct stream *stream)
{
	struct forward *forward = container_of(stream, struct forward, stream);
	outlet_pump(&forward->out);
	settle(forward);
}

static void on_dropped(struct stream *stream)
{
	release(container_of(stream, struct forward, stream));
}

static const struct stream_ops forward_ops = {on_message, on_room, on_dropped};

static struct forward *create(void)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	if (forward != NULL)
		forward->connecting.fd = forward->in.source.fd = forward->out.source.fd = -1;
	return forward;
}

/* Takes over the socket. False when there are no descriptors left. */
static bool carry(struct forward *forward, int fd, uint32_t credit)
{
	int yes = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	int writing = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	inlet_open(&forward->in, writing, &forward->stream, INLET_SHUTDOWN, on_input_over);
	forward->in.source.ready = on_input_ready;
	outlet_open(&forward->out, fd, &forward->stream, 0, 0, on_output);
	forward->out.credit = credit;
	forward->out.reading = true;
	return writing >= 0;
}

static void refuse(struct forward *forward, int error, const char *text)
{
	stream_finish_error(&forward->stream, "CONNECT_FAILED", error, text);
	release(forward);
}

static void on_connected(struct source *source, uint32_t events)
{
	struct forward *forward = container_of(source, struct forward, connecting);
	int error = 0;
	socklen_t size = sizeof(error);
	(void)events;
	if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0) {
		refuse(forward, error, strerror(error));
		return;
	}
	int fd = source->fd;
	loop_watch(source, 0);
	source->fd = -1;
	if (!carry(forward, fd, forward->window_bytes)) {
		refuse(forward, EMFILE, strerror(EMFILE));
		return;
	}
	stream_send(&forward->stream, MESSAGE_CONNECTED, NULL, 0);
	outlet_pump(&forward->out);
}

int forward_address(uint8_t family, const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *size)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
	struct sockaddr_un *local = (struct sockaddr_un *)(void *)out;
	memset(out, 0, sizeof(*out));
	if (family == 1) {
		if (strlen(text) >= sizeof(local->sun_path))
			return -ENAMETOOLONG;
		local->sun_family = AF_UNIX;
		snprintf(local->sun_path, sizeof(local->sun_path), "%s", text);
		*size = sizeof(*local);
	} else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*size = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*size = sizeof(*v6);
	} else {
		return -EINVAL;
	}
	return 0;
}

void forward_connect(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct connect_request request;
	struct sockaddr_storage address;
	socklen_t size = 0;
	if (message_decode_connect(payload, len, &request) < 0 ||
	    forward_address(request.family, request.address, request.port, &address, &size) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "CONNECT");
		return;
	}
	struct forward *forward = create();
	if (forward == NULL || !stream_open(&forward->stream, stream_id, &forward_ops)) {
		free(forward);
		stream_refuse(stream_id, "TOO_MANY", EAGAIN, "too many streams");
		return;
	}
	forward->window_bytes = request.window_bytes;
	forward->connecting.fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	forward->connecting.ready = on_connected;
	if (forward->connecting.fd < 0 ||
	    (connect(forward->connecting.fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)) {
		refuse(forward, errno, strerror(errno));
		return;
	}
	loop_watch(&forward->connecting, EPOLLOUT);
}

bool forward_accepted(int fd, uint32_t listen_stream_id, const char *peer)
{
	uint8_t payload[256];
	struct forward *forward = create();
	if (forward == NULL || !carry(forward, fd, 0) ||
	    !stream_open_from_guest(&forward->stream, &forward_ops)) {
		if (forward == NULL)
			close(fd);
		else
			release(forward);
		return false;
	}
	struct wire_writer writer = {payload, sizeof(payload), false};
	wire_put_u32(&writer, listen_stream_id);
	wire_put_text(&writer, peer);
	stream_send(&forward->stream, MESSAGE_ACCEPTED, payload, (size_t)(writer.at - payload));
	return true;
}
