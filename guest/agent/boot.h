/*
 * boot.h - from the kernel's hand-over to a running guest: modules, file systems, identity.
 *
 * Source: protocol/PROTOCOL.md, "Boot". Runs once, as PID 1 in the initrd. What
 * fails is put into agent.boot_error for the host to read; the channel is opened
 * in any case where there is one.
 */
#ifndef HEARTH_BOOT_H
#define HEARTH_BOOT_H

void boot_guest(void);
/*
 * The descriptor of the virtio-serial port, or of a listening vsock socket when the
 * command line has hearth.vsock=PORT; -errno after waiting for it.
 */
int boot_open_channel(void);

#endif
