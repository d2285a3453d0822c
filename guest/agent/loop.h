/*
 * loop.h - the agent's one event loop: descriptors, timers, nothing else.
 *
 * Single-threaded. Handlers run to completion and never block; whatever may
 * block (files, sync) runs in a forked child.
 */
#ifndef HEARTH_LOOP_H
#define HEARTH_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* A descriptor and what to call when it is ready. Owned by the caller; fd is -1 when closed. */
struct source {
	int fd;
	uint32_t interest; /* EPOLL… bits that are being watched; 0: not in the set */
	void (*ready)(struct source *source, uint32_t events);
};

struct timer {
	uint64_t deadline_ms;
	void (*fire)(struct timer *timer);
	struct timer *next;
	bool armed;
};

int loop_init(void);
/* Watches for events (0: stop watching). A source that is not watched costs nothing, HUP included. */
void loop_watch(struct source *source, uint32_t interest);
/* Stops watching and closes the descriptor. No handler of this source runs after it. */
void loop_close(struct source *source);
/* CLOCK_MONOTONIC. */
uint64_t loop_now_ms(void);
uint64_t loop_now_us(void);
/* Fires once after delay_ms; setting it again moves it. */
void timer_set(struct timer *timer, uint64_t delay_ms);
void timer_cancel(struct timer *timer);
/* Runs until loop_stop(); after_batch runs each time a batch of events has been handled. */
void loop_run(void (*after_batch)(void));
void loop_stop(void);

#endif
