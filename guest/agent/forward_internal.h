/* forward_internal.h - what forward.c and listen.c share. */
#ifndef HEARTH_FORWARD_INTERNAL_H
#define HEARTH_FORWARD_INTERNAL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "forward.h"

/* family 0: a literal IPv4 or IPv6 address; 1: the path of a unix socket. Returns 0 or -errno. */
int forward_address(uint8_t family, const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *size);
/* Opens a stream for a connection that came in. Takes over fd; false when there is no room for it. */
bool forward_accepted(int fd, uint32_t listen_stream_id, const char *peer);

#endif
