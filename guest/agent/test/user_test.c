/* Who a command runs as: ordinary, missing and hostile passwd and group files. */
#include <errno.h>

#include "user.h"
#include "vectors.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "\n"
			     "broken\n"
			     "nouid:x::1:::\n"
			     "notnumber:x:12a:1::/:\n"
			     "alice:x:1000:1001:Alice:/home/alice:/bin/sh\n"
			     "1002:x:7:8::/seven:\n"
			     "bob:x:1002:1003::relative:\n"
			     "huge:x:4294967295:0::/:\n"
			     "nohome:x:55:56\n"
			     "last:x:99:98::/last:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "alice:x:1001:alice\n"
			    "wheel:x:10:bob,alice\n"
			    "audio:x:29:alice,alice,bobby\n"
			    "bobby:x:30:bobb,abob\n"
			    "wheel2:x:10:alice\n"
			    "bad:x:y:alice\n"
			    "short:x\n"
			    "end:x:77:last";

static struct text heap(const char *bytes, size_t len)
{
	struct text out = {(const char *)exact_copy((const uint8_t *)bytes, len), len};
	return out;
}

struct expectation {
	const char *spec;
	int result;
	uid_t uid;
	gid_t gid;
	const char *home;
	size_t group_count;
	gid_t groups[2];
};

static const struct expectation table[] = {
	{"", 0, 0, 0, "/root", 0, {0}},
	{"root", 0, 0, 0, "/root", 0, {0}},
	{"0", 0, 0, 0, "/root", 0, {0}},
	{"alice", 0, 1000, 1001, "/home/alice", 2, {10, 29}},
	{"1000", 0, 1000, 1001, "/home/alice", 2, {10, 29}},
	{"alice:wheel", 0, 1000, 10, "/home/alice", 0, {0}},
	{"alice:4242", 0, 1000, 4242, "/home/alice", 0, {0}},
	{"alice:", 0, 1000, 1001, "/home/alice", 2, {10, 29}},
	{":wheel", 0, 0, 10, "/root", 0, {0}},
	/* A name made of digits is a name first. */
	{"1002", 0, 7, 8, "/seven", 0, {0}},
	{"bob", 0, 1002, 1003, "/", 1, {10}},
	{"nohome", 0, 55, 56, "/", 0, {0}},
	{"last", 0, 99, 98, "/last", 1, {77}},
	{"54321", 0, 54321, 0, "/", 0, {0}},
	{"54321:1", 0, 54321, 1, "/", 0, {0}},
	{"4294967294", 0, 4294967294u, 0, "/", 0, {0}},
	{"4294967295", -ENOENT, 0, 0, "/", 0, {0}},
	{"99999999999", -ENOENT, 0, 0, "/", 0, {0}},
	{"huge", -ENOENT, 0, 0, "/", 0, {0}},
	{"broken", -ENOENT, 0, 0, "/", 0, {0}},
	{"nouid", -ENOENT, 0, 0, "/", 0, {0}},
	{"notnumber", -ENOENT, 0, 0, "/", 0, {0}},
	{"nobody-here", -ENOENT, 0, 0, "/", 0, {0}},
	{"-1", -ENOENT, 0, 0, "/", 0, {0}},
	{"ali", -ENOENT, 0, 0, "/", 0, {0}},
	{"alice:nothing", -ESRCH, 0, 0, "/", 0, {0}},
	{"alice:bad", -ESRCH, 0, 0, "/", 0, {0}},
	{"alice:short", -ESRCH, 0, 0, "/", 0, {0}},
};

static void expect(const struct expectation *expected)
{
	static struct user user;
	struct text users = heap(passwd, sizeof(passwd) - 1), groups = heap(group, sizeof(group) - 1);
	int result = user_resolve(expected->spec, users, groups, &user);
	CHECK(result == expected->result, "\"%s\": %d", expected->spec, result);
	if (result == 0 && expected->result == 0) {
		CHECK(user.uid == expected->uid && user.gid == expected->gid, "\"%s\": %u:%u", expected->spec,
		      user.uid, user.gid);
		CHECK(strcmp(user.home, expected->home) == 0, "\"%s\": %s", expected->spec, user.home);
		CHECK(user.group_count == expected->group_count, "\"%s\": %zu", expected->spec, user.group_count);
		for (size_t i = 0; i < expected->group_count; i++)
			CHECK(user.groups[i] == expected->groups[i], "\"%s\"", expected->spec);
	}
	free((void *)(uintptr_t)users.data);
	free((void *)(uintptr_t)groups.data);
}

/* Every beginning of the files must be read without looking beyond it. */
static void cut_everywhere(void)
{
	static struct user user;
	for (size_t cut = 0; cut < sizeof(passwd); cut++) {
		struct text users = heap(passwd, cut), groups = heap(group, cut < sizeof(group) ? cut : sizeof(group) - 1);
		user_resolve("alice", users, groups, &user);
		user_resolve("last:end", users, groups, &user);
		free((void *)(uintptr_t)users.data);
		free((void *)(uintptr_t)groups.data);
	}
}

static void many_groups(void)
{
	static struct user user;
	static char text[64 * 1024];
	struct text users = {passwd, sizeof(passwd) - 1};
	size_t len = 0;
	for (int i = 0; i < 2 * USER_MAX_GROUPS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "g%d:x:%d:alice\n", i, 5000 + i);
	struct text groups = {text, len};
	CHECK(user_resolve("alice", users, groups, &user) == 0, "many groups");
	CHECK(user.group_count == USER_MAX_GROUPS, "%zu", user.group_count);
}

int main(void)
{
	int rows = (int)(sizeof(table) / sizeof(table[0]));
	for (int i = 0; i < rows; i++)
		expect(&table[i]);
	cut_everywhere();
	many_groups();
	(void)from_hex;
	(void)each_vector;
	return finish("user_test", rows);
}
