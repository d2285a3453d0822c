#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FIELDS = 7, MAX_FILE_BYTES = 4 * 1024 * 1024 };

static bool next_line(struct text *rest, struct text *line)
{
	if (rest->len == 0)
		return false;
	const char *end = memchr(rest->data, '\n', rest->len);
	line->data = rest->data;
	line->len = end == NULL ? rest->len : (size_t)(end - rest->data);
	size_t taken = line->len + (end == NULL ? 0 : 1);
	rest->data += taken;
	rest->len -= taken;
	return true;
}

/* Cuts off the text before the next separator; the last field has all the rest. */
static struct text next_field(struct text *rest, char separator)
{
	const char *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
	struct text field = {rest->data, end == NULL ? rest->len : (size_t)(end - rest->data)};
	size_t taken = field.len + (end == NULL ? 0 : 1);
	rest->data += taken;
	rest->len -= taken;
	return field;
}

static size_t split(struct text line, struct text fields[MAX_FIELDS])
{
	size_t count = 0;
	while (count < MAX_FIELDS) {
		bool last = line.len == 0 || memchr(line.data, ':', line.len) == NULL;
		fields[count++] = next_field(&line, ':');
		if (last)
			break;
	}
	return count;
}

static bool same(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Decimal, 0..2^32-2 (2^32-1 means "unchanged" to the kernel). */
static bool number(struct text text, uint32_t *out)
{
	uint64_t value = 0;
	if (text.len == 0 || text.len > 10)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*out = (uint32_t)value;
	return value < UINT32_MAX;
}

static void set_home(struct user *user, struct text home)
{
	if (home.len == 0 || home.len >= sizeof(user->home) || home.data[0] != '/')
		return;
	memcpy(user->home, home.data, home.len);
	user->home[home.len] = 0;
}

/* Finds a passwd entry by name, or by number when there is no such name. */
static bool find_user(struct text passwd, struct text wanted, struct user *user, struct text *name)
{
	uint32_t wanted_uid = 0;
	bool numeric = number(wanted, &wanted_uid);
	for (int by_number = 0; by_number <= (numeric ? 1 : 0); by_number++) {
		struct text rest = passwd, line, fields[MAX_FIELDS];
		while (next_line(&rest, &line)) {
			uint32_t uid = 0, gid = 0;
			size_t count = split(line, fields);
			if (count < 4 || !number(fields[2], &uid) || !number(fields[3], &gid))
				continue;
			if (by_number ? uid != wanted_uid : !same(fields[0], wanted))
				continue;
			user->uid = uid;
			user->gid = gid;
			*name = fields[0];
			if (count > 5)
				set_home(user, fields[5]);
			return true;
		}
	}
	user->uid = wanted_uid;
	user->gid = 0;
	return numeric;
}

static bool find_group(struct text group, struct text wanted, gid_t *out)
{
	struct text rest = group, line, fields[MAX_FIELDS];
	uint32_t gid = 0;
	while (next_line(&rest, &line)) {
		if (split(line, fields) >= 3 && same(fields[0], wanted) && number(fields[2], &gid)) {
			*out = gid;
			return true;
		}
	}
	bool numeric = number(wanted, &gid);
	*out = gid;
	return numeric;
}

static void add_group(struct user *user, gid_t gid)
{
	if (gid == user->gid || user->group_count >= USER_MAX_GROUPS)
		return;
	for (size_t i = 0; i < user->group_count; i++)
		if (user->groups[i] == gid)
			return;
	user->groups[user->group_count++] = gid;
}

static void add_memberships(struct text group, struct text name, struct user *user)
{
	struct text rest = group, line, fields[MAX_FIELDS];
	while (next_line(&rest, &line)) {
		uint32_t gid = 0;
		if (split(line, fields) < 4 || !number(fields[2], &gid))
			continue;
		for (struct text members = fields[3]; members.len > 0;) {
			if (same(next_field(&members, ','), name))
				add_group(user, gid);
		}
	}
}

int user_resolve(const char *spec, struct text passwd, struct text group, struct user *out)
{
	struct text rest = {spec, strlen(spec)}, name = {"", 0};
	bool has_group = strchr(spec, ':') != NULL;
	struct text wanted = next_field(&rest, ':');
	struct text root = {"0", 1};
	memset(out, 0, sizeof(*out));
	out->home[0] = '/';
	if (!find_user(passwd, wanted.len == 0 ? root : wanted, out, &name))
		return -ENOENT;
	if (has_group && rest.len > 0)
		return find_group(group, rest, &out->gid) ? 0 : -ESRCH;
	if (name.len > 0)
		add_memberships(group, name, out);
	return 0;
}

/* A regular file's content; empty when there is none. Never waits, whatever the path is. */
static struct text read_file(const char *path)
{
	struct text text = {"", 0};
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return text;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
	    status.st_size <= MAX_FILE_BYTES) {
		char *data = malloc((size_t)status.st_size);
		ssize_t got = data == NULL ? -1 : read(fd, data, (size_t)status.st_size);
		if (got > 0) {
			text.data = data;
			text.len = (size_t)got;
		}
	}
	close(fd);
	return text;
}

int user_lookup(const char *spec, struct user *out)
{
	/* Called in a child that is about to exec: the texts are not freed. */
	return user_resolve(spec, read_file("/etc/passwd"), read_file("/etc/group"), out);
}
