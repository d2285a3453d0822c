/*
 * user.h - who a command runs as: `name|uid[:group|gid]` against passwd and group files.
 *
 * Pure: texts in, numbers out, so that a hostile /etc/passwd can be tried in a
 * test. Numbers need no entry: an unknown uid runs with gid 0 and no groups.
 * Without a group the user's own group and supplementary groups apply; with a
 * group it alone does.
 */
#ifndef HEARTH_USER_H
#define HEARTH_USER_H

#include <stddef.h>
#include <sys/types.h>

enum { USER_MAX_GROUPS = 256, USER_MAX_HOME_BYTES = 1024 };

struct user {
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t groups[USER_MAX_GROUPS]; /* supplementary, without gid */
	char home[USER_MAX_HOME_BYTES]; /* "/" when unknown */
};

struct text {
	const char *data;
	size_t len;
};

/* "" is root. Returns 0, -ENOENT for an unknown user, -ESRCH for an unknown group. */
int user_resolve(const char *spec, struct text passwd, struct text group, struct user *out);

/* Reads /etc/passwd and /etc/group (at most 4 MiB each; a missing file is empty) and resolves. */
int user_lookup(const char *spec, struct user *out);

#endif
