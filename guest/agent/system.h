/*
 * system.h - the guest itself: clock, entropy, identity, root file system, statistics.
 *
 * Source: protocol/PROTOCOL.md, "The guest". system_request() answers at once or
 * hands the request to a job. Outside of a VM what would change the host is refused.
 */
#ifndef HEARTH_SYSTEM_H
#define HEARTH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the type is none of its requests. */
bool system_request(uint32_t stream_id, uint8_t type, const uint8_t *payload, size_t len);
/* 0 or -errno. */
int system_set_clock(uint64_t now_ns);

void shutdown_request(uint32_t stream_id, const uint8_t *payload, size_t len);
/* Every process except the agent has ended. */
void shutdown_on_no_children(void);

/* Jobs of network.c. */
void network_job(int report, const uint8_t *payload, size_t len);
void network_loopback_up(void);

#endif
