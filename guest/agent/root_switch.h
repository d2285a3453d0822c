/* root_switch.h - from the initrd to the real root file system. */
#ifndef HEARTH_ROOT_SWITCH_H
#define HEARTH_ROOT_SWITCH_H

/*
 * Moves /proc, /sys and /dev below new_root, deletes the initrd's files to free
 * their memory, and makes new_root the root. Returns 0 or -errno.
 */
int root_switch(const char *new_root);

#endif
