#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "forward_internal.h"
#include "loop.h"
#include "message.h"
#include "stream.h"

/* With no stream free, connections wait in the kernel's queue for so long before the next look. */
enum { RETRY_MS = 100, ACCEPTS_PER_EVENT = 16 };

struct listener {
	struct stream stream;
	struct source source;
	struct timer retry;
};

static void release(struct listener *listener)
{
	timer_cancel(&listener->retry);
	loop_close(&listener->source);
	free(listener);
}

static void describe(const struct sockaddr_storage *peer, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "";
	uint16_t port = 0;
	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;
		inet_ntop(AF_INET, &v4->sin_addr, address, sizeof(address));
		port = ntohs(v4->sin_port);
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)peer;
		inet_ntop(AF_INET6, &v6->sin6_addr, address, sizeof(address));
		port = ntohs(v6->sin6_port);
	}
	snprintf(text, size, "%s %u", address, port);
}

static void on_connection(struct source *source, uint32_t events)
{
	struct listener *listener = container_of(source, struct listener, source);
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof(peer);
		char text[INET6_ADDRSTRLEN + 16];
		if (stream_count() >= STREAM_LIMIT) {
			loop_watch(source, 0);
			timer_set(&listener->retry, RETRY_MS);
			return;
		}
		int fd = accept4(source->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		describe(&peer, text, sizeof(text));
		forward_accepted(fd, listener->stream.id, text);
	}
}

static void on_retry(struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, retry);
	loop_watch(&listener->source, EPOLLIN);
}

static void on_message(struct stream *stream, uint8_t type, const uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	if (type != MESSAGE_RESET)
		return;
	stream_finish(stream, MESSAGE_CLOSED, NULL, 0);
	release(container_of(stream, struct listener, stream));
}

static void on_dropped(struct stream *stream)
{
	release(container_of(stream, struct listener, stream));
}

static const struct stream_ops listener_ops = {on_message, NULL, on_dropped};

/* Returns the port, or -errno. */
static int start(struct listener *listener, const struct listen_request *request)
{
	struct sockaddr_storage address;
	socklen_t size = 0;
	int yes = 1;
	int error = forward_address(0, request->address, request->port, &address, &size);
	if (error < 0)
		return error;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	listener->source.fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, request->backlog) < 0)
		return -errno;
	size = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&address)->sin6_port
						   : ((struct sockaddr_in *)(void *)&address)->sin_port);
}

void forward_listen(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct listen_request request;
	if (message_decode_listen(payload, len, &request) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "LISTEN");
		return;
	}
	struct listener *listener = calloc(1, sizeof(*listener));
	if (listener == NULL || !stream_open(&listener->stream, stream_id, &listener_ops)) {
		free(listener);
		stream_refuse(stream_id, "TOO_MANY", EAGAIN, "too many streams");
		return;
	}
	listener->source.fd = -1;
	listener->source.ready = on_connection;
	listener->retry.fire = on_retry;
	int port = start(listener, &request);
	if (port < 0) {
		stream_finish_error(&listener->stream, "LISTEN_FAILED", -port, strerror(-port));
		release(listener);
		return;
	}
	uint8_t reply[2];
	struct wire_writer writer = {reply, sizeof(reply), false};
	wire_put_u16(&writer, (uint16_t)port);
	stream_send(&listener->stream, MESSAGE_LISTENING, reply, sizeof(reply));
	loop_watch(&listener->source, EPOLLIN);
}
