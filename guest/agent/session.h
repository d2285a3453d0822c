/* session.h - what a frame from the host sets in motion. */
#ifndef HEARTH_SESSION_H
#define HEARTH_SESSION_H

#include "channel.h"

/* Called when the channel of a plain process (not of a guest) has ended. */
extern void (*session_on_closed)(void);

int session_start(int fd, enum channel_kind kind);
/* Takes hosts from a listening socket, one at a time: a new one takes the place of the last. */
int session_listen(int fd);

#endif
