/* agent.h - what all parts of the agent share: its version, its place, its kernel interface numbers. */
#ifndef HEARTH_AGENT_H
#define HEARTH_AGENT_H

#include <stdbool.h>

#define AGENT_VERSION "0.1.0"

struct agent {
	bool is_guest;          /* PID 1 of a VM; otherwise a plain process that must not touch its host */
	bool has_cgroups;
	char root_device[64];   /* "/dev/vda" */
	char boot_error[512];   /* "" when the root file system is in place */
};

extern struct agent agent;

/* ioctl numbers of linux/random.h, linux/fs.h and fs/ext4 that the C library does not know. */
#define IOCTL_RNDADDENTROPY 0x40085203UL
#define IOCTL_RNDRESEEDCRNG 0x5207UL
#define IOCTL_BLKGETSIZE64 0x80081272UL
#define IOCTL_FIFREEZE 0xc0045877UL
#define IOCTL_FITHAW 0xc0045878UL
#define IOCTL_EXT4_RESIZE_FS 0x40086610UL

#endif
