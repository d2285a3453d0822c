#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64 };

static int epoll_fd = -1;
static struct epoll_event batch[BATCH];
static int batch_at;
static int batch_len;
static struct timer *timers;
static bool stopped;

int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

static void forget_pending(const struct source *source)
{
	for (int i = batch_at; i < batch_len; i++)
		if (batch[i].data.ptr == source)
			batch[i].data.ptr = NULL;
}

void loop_watch(struct source *source, uint32_t interest)
{
	if (interest == source->interest)
		return;
	struct epoll_event event = {.events = interest, .data.ptr = source};
	int operation = source->interest == 0 ? EPOLL_CTL_ADD : interest == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
	epoll_ctl(epoll_fd, operation, source->fd, &event);
	source->interest = interest;
	if (interest == 0)
		forget_pending(source);
}

void loop_close(struct source *source)
{
	if (source->fd < 0)
		return;
	loop_watch(source, 0);
	close(source->fd);
	source->fd = -1;
}

uint64_t loop_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t loop_now_ms(void)
{
	return loop_now_us() / 1000;
}

void timer_cancel(struct timer *timer)
{
	if (!timer->armed)
		return;
	for (struct timer **at = &timers; *at != NULL; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->armed = false;
}

void timer_set(struct timer *timer, uint64_t delay_ms)
{
	timer_cancel(timer);
	timer->deadline_ms = loop_now_ms() + delay_ms;
	timer->armed = true;
	timer->next = timers;
	timers = timer;
}

/* How long epoll may sleep; one more than the remainder, so that a timer never fires early. */
static int wait_ms(void)
{
	if (timers == NULL)
		return -1;
	uint64_t now = loop_now_ms();
	uint64_t first = timers->deadline_ms;
	for (struct timer *timer = timers; timer != NULL; timer = timer->next)
		if (timer->deadline_ms < first)
			first = timer->deadline_ms;
	if (first <= now)
		return 0;
	return first - now > 60000 ? 60000 : (int)(first - now) + 1;
}

static void fire_timers(void)
{
	uint64_t now = loop_now_ms();
	for (;;) {
		struct timer *due = timers;
		while (due != NULL && due->deadline_ms > now)
			due = due->next;
		if (due == NULL)
			return;
		timer_cancel(due);
		due->fire(due);
	}
}

void loop_stop(void)
{
	stopped = true;
}

void loop_run(void (*after_batch)(void))
{
	while (!stopped) {
		batch_len = epoll_wait(epoll_fd, batch, BATCH, wait_ms());
		for (batch_at = 0; batch_at < batch_len;) {
			struct epoll_event event = batch[batch_at++];
			struct source *source = event.data.ptr;
			if (source != NULL)
				source->ready(source, event.events);
		}
		batch_len = batch_at = 0;
		if (timers != NULL)
			fire_timers();
		after_batch();
	}
}
