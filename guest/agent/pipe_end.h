/*
 * pipe_end.h - the ends of byte pipes: an outlet carries what a descriptor gives
 * to the host, an inlet what the host sends to a descriptor.
 *
 * Source: protocol/PROTOCOL.md, "Data and windows". Both are bounded by credit:
 * an outlet reads only what the host has granted, an inlet grants again what its
 * descriptor has taken, so that a flood or a stuck reader stops its own stream
 * and no other.
 */
#ifndef HEARTH_PIPE_END_H
#define HEARTH_PIPE_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "stream.h"

struct outlet {
	struct source source;
	const struct stream *stream;
	uint8_t channel;
	bool reading;  /* data may be read */
	bool ended;    /* nothing more will be read */
	bool end_sent; /* and the host knows */
	bool limited;  /* only `remaining` more bytes are wanted */
	uint32_t credit;
	size_t remaining;
	uint64_t total;   /* bytes read so far: the cursor of the next byte */
	uint64_t sent;    /* cursor up to which the host has been sent */
	uint64_t lost;    /* bytes that fell out of the ring unsent */
	uint8_t *ring;    /* NULL: nothing is kept */
	size_t ring_bytes;
	void (*changed)(struct outlet *outlet); /* after bytes went out or the end was reached */
};

/* fd is owned. ring_bytes 0 keeps nothing. Returns 0 or -errno. */
int outlet_open(struct outlet *outlet, int fd, const struct stream *stream, uint8_t channel,
		size_t ring_bytes, void (*changed)(struct outlet *outlet));
/* Moves what can be moved now and watches for the rest. Never calls `changed`. */
void outlet_pump(struct outlet *outlet);
void outlet_grant(struct outlet *outlet, uint32_t bytes);
/* The writer is done: what is in the descriptor now is still delivered, nothing later. */
void outlet_limit(struct outlet *outlet);
/* A new reader starts at cursor, or at the oldest byte kept; returns where. */
uint64_t outlet_attach(struct outlet *outlet, uint64_t cursor, uint32_t credit);
/* True when nothing is left to read and, on an open stream, nothing to send. */
bool outlet_done(const struct outlet *outlet);
void outlet_close(struct outlet *outlet);
/*
 * Lets writers that outlive the call write into nothing instead of dying of
 * SIGPIPE: the descriptor is read and forgotten until its last writer is gone.
 */
void outlet_leave(struct outlet *outlet);

enum inlet_end { INLET_CLOSE, INLET_SHUTDOWN, INLET_TTY };

struct inlet {
	struct source source;
	const struct stream *stream;
	enum inlet_end end;
	bool end_wanted; /* the host has sent the end */
	bool broken;     /* the reader is gone: the rest is dropped, nothing is granted */
	uint8_t *buffer; /* PROTOCOL_INITIAL_WINDOW_BYTES, allocated at the first need */
	size_t start, len;
	uint32_t ungranted;
	void (*changed)(struct inlet *inlet); /* broken or ended. May be NULL */
};

void inlet_open(struct inlet *inlet, int fd, const struct stream *stream, enum inlet_end end,
		void (*changed)(struct inlet *inlet));
/* Data from the host, len 0 for its end. False when the host sent more than was granted. */
bool inlet_data(struct inlet *inlet, const uint8_t *data, size_t len);
/* What the source's `ready` does, for an owner that puts its own in its place to act afterwards. */
void inlet_ready(struct inlet *inlet, uint32_t events);
/* How much the host may send. */
uint32_t inlet_window(const struct inlet *inlet);
void inlet_close(struct inlet *inlet);

#endif
