/*
 * files.h - files of the guest by request: look, list, read, write, change, whole trees.
 *
 * Source: protocol/PROTOCOL.md, "Files". Each request is a job in a child, so a
 * slow disk or a hanging mount holds up nothing else, and a request that is
 * given up is killed.
 */
#ifndef HEARTH_FILES_H
#define HEARTH_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the type is none of its requests. */
bool file_request(uint32_t stream_id, uint8_t type, const uint8_t *payload, size_t len);

#endif
