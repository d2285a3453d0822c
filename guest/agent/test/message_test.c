/*
 * Replays protocol/vectors/message.tsv: what the host sends is decoded and its
 * fields compared, also cut at every byte; what the agent sends is encoded.
 */
#include <inttypes.h>
#include <stdarg.h>

#include "message.h"
#include "vectors.h"

static char text[VECTOR_LINE_BYTES];
static size_t text_len;

static void put(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	text_len += (size_t)vsnprintf(text + text_len, sizeof(text) - text_len, format, arguments);
	va_end(arguments);
}

static void put_quoted(const uint8_t *bytes, size_t len)
{
	put("\"");
	for (size_t i = 0; i < len; i++) {
		bool plain = bytes[i] > 0x20 && bytes[i] < 0x7f && bytes[i] != '"' && bytes[i] != '\\';
		put(plain ? "%c" : "\\x%02x", bytes[i]);
	}
	put("\"");
}

static void put_text(const char *name, const char *value)
{
	put(" %s=", name);
	put_quoted((const uint8_t *)value, strlen(value));
}

static void put_list(const char *name, struct wire_list list)
{
	const uint8_t *at = list.first;
	put(" %s=[", name);
	for (uint32_t i = 0; i < list.count; i++) {
		const char *value = wire_list_next(&at);
		put(i == 0 ? "" : ",");
		put_quoted((const uint8_t *)value, strlen(value));
	}
	put("]");
}

static int hello(const uint8_t *payload, size_t len)
{
	struct hello out;
	int error = message_decode_hello(payload, len, &out);
	if (error < 0)
		return error;
	put("magic=");
	put_quoted(hello_magic, HELLO_MAGIC_BYTES);
	put(" generation=%" PRIu32 " nonce=", out.generation);
	put_quoted(out.nonce, HELLO_NONCE_BYTES);
	put(" clockNs=%" PRIu64, out.clock_ns);
	return 0;
}

static int exec(const uint8_t *payload, size_t len)
{
	struct exec_request out;
	int error = message_decode_exec(payload, len, &out);
	if (error < 0)
		return error;
	put("flags=%" PRIu32 " timeoutMs=%" PRIu32 " graceMs=%" PRIu32, out.flags, out.timeout_ms, out.grace_ms);
	put(" windowBytes=%" PRIu32 " ringBytes=%" PRIu32, out.window_bytes, out.ring_bytes);
	put(" rows=%u columns=%u", out.rows, out.columns);
	put(" pidsMax=%" PRIu32 " memoryMaxBytes=%" PRIu64, out.pids_max, out.memory_max);
	put_text("user", out.user);
	put_text("cwd", out.cwd);
	put_list("argv", out.argv);
	put_list("env", out.env);
	put(" rlimits=[");
	for (uint32_t i = 0; i < out.rlimit_count; i++) {
		put("%s{resource=%" PRIu32, i == 0 ? "" : ",", out.rlimits[i].resource);
		put(" soft=%" PRIu64 " hard=%" PRIu64 "}", out.rlimits[i].soft, out.rlimits[i].hard);
	}
	put("]");
	return 0;
}

static int signal_to(const uint8_t *payload, size_t len)
{
	struct signal_request out;
	int error = message_decode_signal(payload, len, &out);
	put("signal=%u target=%u", out.signal, out.target);
	return error;
}

static int exec_kill(const uint8_t *payload, size_t len)
{
	struct signal_request out;
	int error = message_decode_exec_kill(payload, len, &out);
	put("execId=%" PRIu64 " signal=%u target=%u", out.exec_id, out.signal, out.target);
	return error;
}

static int resize(const uint8_t *payload, size_t len)
{
	struct resize_request out;
	int error = message_decode_resize(payload, len, &out);
	put("rows=%u columns=%u", out.rows, out.columns);
	return error;
}

static int attach(const uint8_t *payload, size_t len)
{
	struct attach_request out;
	int error = message_decode_attach(payload, len, &out);
	put("execId=%" PRIu64 " stdoutCursor=%" PRIu64, out.exec_id, out.stdout_cursor);
	put(" stderrCursor=%" PRIu64 " windowBytes=%" PRIu32, out.stderr_cursor, out.window_bytes);
	return error;
}

static int window(const uint8_t *payload, size_t len)
{
	struct window out;
	int error = message_decode_window(payload, len, &out);
	put("channel=%u bytes=%" PRIu32, out.channel, out.bytes);
	return error;
}

static int number(const char *name, const uint8_t *payload, size_t len)
{
	uint64_t out;
	int error = message_decode_u64(payload, len, &out);
	put("%s=%" PRIu64, name, out);
	return error;
}

static int exec_forget(const uint8_t *payload, size_t len)
{
	return number("execId", payload, len);
}

static int set_clock(const uint8_t *payload, size_t len)
{
	return number("clockNs", payload, len);
}

static int grow_root(const uint8_t *payload, size_t len)
{
	return number("sizeBytes", payload, len);
}

static int entropy(const uint8_t *payload, size_t len)
{
	struct entropy_request out;
	int error = message_decode_entropy(payload, len, &out);
	put("creditedBits=%" PRIu32 " bytes=", out.credited_bits);
	put_quoted(out.bytes.data, out.bytes.len);
	return error;
}

static int hostname(const uint8_t *payload, size_t len)
{
	struct hostname_request out;
	int error = message_decode_hostname(payload, len, &out);
	put("persist=%d", out.persist);
	put_text("name", out.name);
	return error;
}

static int machine_id(const uint8_t *payload, size_t len)
{
	const char *out;
	int error = message_decode_text(payload, len, &out);
	put_text("machineId", out);
	memmove(text, text + 1, text_len--);
	return error;
}

static int shut_down(const uint8_t *payload, size_t len)
{
	struct shutdown_request out;
	int error = message_decode_shutdown(payload, len, &out);
	put("how=%u graceMs=%" PRIu32, out.how, out.grace_ms);
	return error;
}

static int processes(const uint8_t *payload, size_t len)
{
	enum processes_how out;
	int error = message_decode_processes(payload, len, &out);
	put("how=%u", (unsigned)out);
	return error;
}

static int network(const uint8_t *payload, size_t len)
{
	struct network_request out;
	int error = message_decode_network(payload, len, &out);
	if (error < 0)
		return error;
	put_text("interface", out.interface);
	memmove(text, text + 1, text_len--);
	put(" mac=");
	put_quoted(out.mac, 6);
	put(" address=%" PRIu32 " prefixBits=%u gateway=%" PRIu32, out.address, out.prefix_bits, out.gateway);
	put_list("nameservers", out.nameservers);
	return 0;
}

static int connect_to(const uint8_t *payload, size_t len)
{
	struct connect_request out;
	int error = message_decode_connect(payload, len, &out);
	put("family=%u", out.family);
	put_text("address", out.address);
	put(" port=%u windowBytes=%" PRIu32, out.port, out.window_bytes);
	return error;
}

static int listen_on(const uint8_t *payload, size_t len)
{
	struct listen_request out;
	int error = message_decode_listen(payload, len, &out);
	put_text("address", out.address);
	memmove(text, text + 1, text_len--);
	put(" port=%u backlog=%u", out.port, out.backlog);
	return error;
}

static int limits(const uint8_t *payload, size_t len)
{
	return number("pidsMax", payload, len);
}

static const struct {
	const char *name;
	int (*decode)(const uint8_t *payload, size_t len);
} decoders[] = {
	{"HELLO", hello},           {"EXEC", exec},
	{"SIGNAL", signal_to},      {"EXEC_KILL", exec_kill},
	{"RESIZE", resize},         {"ATTACH", attach},
	{"WINDOW", window},         {"EXEC_FORGET", exec_forget},
	{"SET_CLOCK", set_clock},   {"GROW_ROOT", grow_root},
	{"ADD_ENTROPY", entropy},   {"SET_HOSTNAME", hostname},
	{"SHUTDOWN", shut_down},    {"SET_MACHINE_ID", machine_id},
	{"SET_NETWORK", network},   {"CONNECT", connect_to},
	{"LISTEN", listen_on},      {"PROCESSES", processes},
	{"SET_LIMITS", limits},
};

static int decode(size_t index, const uint8_t *payload, size_t len)
{
	text_len = 0;
	return decoders[index].decode(payload, len);
}

static void decoded(size_t index, char **fields)
{
	size_t len;
	uint8_t *payload = from_hex(fields[3], &len);
	bool refused = fields[2][0] == '!';
	int error = decode(index, payload, len);
	CHECK((error < 0) == refused, "%s: %d", fields[0], error);
	if (!refused) {
		/* The vectors put the fields in braces. */
		CHECK(strlen(fields[2]) == text_len + 2 && memcmp(fields[2] + 1, text, text_len) == 0,
		      "%s: {%s}", fields[0], text);
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *part = exact_copy(payload, cut);
			CHECK(decode(index, part, cut) < 0, "%s cut at %zu", fields[0], cut);
			free(part);
		}
	}
	free(payload);
}

static void encoded(char **fields)
{
	static const uint8_t nonce[HELLO_NONCE_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t payload[1024];
	struct wire_writer writer = {payload, sizeof(payload), false};
	const char *name = fields[0];
	if (strcmp(name, "ready") == 0) {
		struct ready ready = {nonce, "0.1.0", "6.1.0-18-cloud-amd64",
				      "0d96e751-a926-458d-9923-a8bd72859bfa", "", 1234567, 3};
		message_encode_ready(&writer, &ready);
	} else if (strcmp(name, "error") == 0) {
		message_encode_error(&writer, "EXEC_NOT_FOUND", 2, "ls: No such file");
	} else if (strcmp(name, "error without text") == 0) {
		message_encode_error(&writer, "", 0, "");
	} else if (strcmp(name, "started") == 0) {
		struct started started = {1, 4242, 65536, 0, UINT64_C(9007199254740991)};
		message_encode_started(&writer, &started);
	} else if (strcmp(name, "exit") == 0) {
		struct exit_report report = {1, 0, 9, 1, 2, 3, 4, 5, 6, 7};
		message_encode_exit(&writer, &report);
	} else if (strcmp(name, "exit with code 255") == 0) {
		struct exit_report report = {0, 255, 0, 0, 0, 0, 0, 0, 0, 0};
		message_encode_exit(&writer, &report);
	} else {
		CHECK(false, "unknown vector %s", name);
		return;
	}
	size_t len;
	uint8_t *expected = from_hex(fields[3], &len);
	CHECK(!writer.bad && (size_t)(writer.at - payload) == len && memcmp(payload, expected, len) == 0, "%s", name);
	free(expected);
	/* One byte too little room is noticed. */
	struct wire_writer tight = {payload, len - 1, false};
	wire_put_raw(&tight, payload, len);
	CHECK(tight.bad, "%s", name);
}

static void window_encoded(char **fields)
{
	size_t len;
	uint8_t payload[8];
	struct wire_writer writer = {payload, sizeof(payload), false};
	struct window out = {2, 131072};
	uint8_t *expected = from_hex(fields[3], &len);
	message_encode_window(&writer, &out);
	CHECK((size_t)(writer.at - payload) == len && memcmp(payload, expected, len) == 0, "%s", fields[0]);
	free(expected);
}

static void row(char **fields)
{
	if (strcmp(fields[0], "window") == 0)
		window_encoded(fields);
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		if (strcmp(fields[1], decoders[i].name) == 0) {
			decoded(i, fields);
			return;
		}
	}
	encoded(fields);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	return finish("message_test", each_vector(argv[1], "message.tsv", row));
}
