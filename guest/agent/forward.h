/*
 * forward.h - connections between host and guest: CONNECT dials in the guest,
 * LISTEN takes connections there and opens a stream to the host for each.
 *
 * Source: protocol/PROTOCOL.md, "Forwards".
 */
#ifndef HEARTH_FORWARD_H
#define HEARTH_FORWARD_H

#include <stddef.h>
#include <stdint.h>

void forward_connect(uint32_t stream_id, const uint8_t *payload, size_t len);
void forward_listen(uint32_t stream_id, const uint8_t *payload, size_t len);

#endif
