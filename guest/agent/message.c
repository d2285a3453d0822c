#include "message.h"

#include <errno.h>
#include <string.h>

/* Ends like a PNG signature: a channel that alters line ends or strips bit 8 is noticed. */
const uint8_t hello_magic[HELLO_MAGIC_BYTES] = {'h', 'r', 't', 'h', 0x8f, '\r', '\n', 0x1a};

bool message_is_data(uint8_t type)
{
	return type >= MESSAGE_DATA0 && type <= MESSAGE_DATA2;
}

static struct wire_reader reader_of(const uint8_t *payload, size_t len)
{
	struct wire_reader reader = {payload, len, false};
	return reader;
}

static int verdict(const struct wire_reader *reader, bool valid)
{
	return wire_end(reader) && valid ? 0 : -EINVAL;
}

int message_decode_hello(const uint8_t *payload, size_t len, struct hello *out)
{
	struct wire_reader reader = reader_of(payload, len);
	const uint8_t *magic = wire_raw(&reader, HELLO_MAGIC_BYTES);
	out->generation = wire_u32(&reader);
	out->nonce = wire_raw(&reader, HELLO_NONCE_BYTES);
	out->clock_ns = wire_u64(&reader);
	return verdict(&reader, magic != NULL && memcmp(magic, hello_magic, HELLO_MAGIC_BYTES) == 0);
}

int message_decode_exec(const uint8_t *payload, size_t len, struct exec_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	memset(out, 0, sizeof(*out));
	out->flags = wire_u32(&reader);
	out->timeout_ms = wire_u32(&reader);
	out->grace_ms = wire_u32(&reader);
	out->window_bytes = wire_u32(&reader);
	out->ring_bytes = wire_u32(&reader);
	out->rows = wire_u16(&reader);
	out->columns = wire_u16(&reader);
	out->pids_max = wire_u32(&reader);
	out->memory_max = wire_u64(&reader);
	out->user = wire_text(&reader);
	out->cwd = wire_text(&reader);
	out->argv = wire_read_list(&reader);
	out->env = wire_read_list(&reader);
	out->rlimit_count = wire_u32(&reader);
	if (out->rlimit_count > PROTOCOL_MAX_RLIMITS)
		return -EINVAL;
	for (uint32_t i = 0; i < out->rlimit_count; i++) {
		out->rlimits[i].resource = wire_u32(&reader);
		out->rlimits[i].soft = wire_u64(&reader);
		out->rlimits[i].hard = wire_u64(&reader);
	}
	return verdict(&reader, out->argv.count > 0 && (out->flags & ~(uint32_t)EXEC_ALL_FLAGS) == 0 &&
					out->window_bytes <= PROTOCOL_MAX_WINDOW_BYTES &&
					out->ring_bytes <= PROTOCOL_MAX_RING_BYTES);
}

static int decode_signal(struct wire_reader *reader, struct signal_request *out)
{
	out->signal = wire_u8(reader);
	out->target = wire_u8(reader);
	return verdict(reader, out->signal <= 64 && out->target <= TARGET_ALL);
}

int message_decode_signal(const uint8_t *payload, size_t len, struct signal_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->exec_id = 0;
	return decode_signal(&reader, out);
}

int message_decode_exec_kill(const uint8_t *payload, size_t len, struct signal_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->exec_id = wire_u64(&reader);
	return decode_signal(&reader, out);
}

int message_decode_resize(const uint8_t *payload, size_t len, struct resize_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->rows = wire_u16(&reader);
	out->columns = wire_u16(&reader);
	return verdict(&reader, true);
}

int message_decode_attach(const uint8_t *payload, size_t len, struct attach_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->exec_id = wire_u64(&reader);
	out->stdout_cursor = wire_u64(&reader);
	out->stderr_cursor = wire_u64(&reader);
	out->window_bytes = wire_u32(&reader);
	return verdict(&reader, out->window_bytes <= PROTOCOL_MAX_WINDOW_BYTES);
}

int message_decode_window(const uint8_t *payload, size_t len, struct window *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->channel = wire_u8(&reader);
	out->bytes = wire_u32(&reader);
	return verdict(&reader, out->channel <= 2 && out->bytes <= PROTOCOL_MAX_WINDOW_BYTES);
}

int message_decode_u64(const uint8_t *payload, size_t len, uint64_t *out)
{
	struct wire_reader reader = reader_of(payload, len);
	*out = wire_u64(&reader);
	return verdict(&reader, true);
}

int message_decode_entropy(const uint8_t *payload, size_t len, struct entropy_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->credited_bits = wire_u32(&reader);
	out->bytes = wire_read_bytes(&reader);
	return verdict(&reader, out->bytes.len <= PROTOCOL_MAX_ENTROPY_BYTES &&
					out->credited_bits <= 8 * out->bytes.len);
}

int message_decode_hostname(const uint8_t *payload, size_t len, struct hostname_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	uint8_t persist = wire_u8(&reader);
	out->persist = persist == 1;
	out->name = wire_text(&reader);
	size_t name_len = strlen(out->name);
	return verdict(&reader, persist <= 1 && name_len >= 1 && name_len <= 64);
}

int message_decode_text(const uint8_t *payload, size_t len, const char **out)
{
	struct wire_reader reader = reader_of(payload, len);
	*out = wire_text(&reader);
	return verdict(&reader, true);
}

int message_decode_shutdown(const uint8_t *payload, size_t len, struct shutdown_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->how = wire_u8(&reader);
	out->grace_ms = wire_u32(&reader);
	return verdict(&reader, out->how <= SHUTDOWN_HALT);
}

int message_decode_processes(const uint8_t *payload, size_t len, enum processes_how *how)
{
	struct wire_reader reader = reader_of(payload, len);
	*how = (enum processes_how)wire_u8(&reader);
	return verdict(&reader, *how <= PROCESSES_END);
}

int message_decode_network(const uint8_t *payload, size_t len, struct network_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->interface = wire_text(&reader);
	out->mac = wire_raw(&reader, 6);
	out->address = wire_u32(&reader);
	out->prefix_bits = wire_u8(&reader);
	out->gateway = wire_u32(&reader);
	out->nameservers = wire_read_list(&reader);
	size_t name_len = strlen(out->interface);
	return verdict(&reader, name_len >= 1 && name_len <= 15 && out->prefix_bits <= 32);
}

int message_decode_connect(const uint8_t *payload, size_t len, struct connect_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->family = wire_u8(&reader);
	out->address = wire_text(&reader);
	out->port = wire_u16(&reader);
	out->window_bytes = wire_u32(&reader);
	return verdict(&reader, out->family <= 1 && out->window_bytes <= PROTOCOL_MAX_WINDOW_BYTES);
}

int message_decode_listen(const uint8_t *payload, size_t len, struct listen_request *out)
{
	struct wire_reader reader = reader_of(payload, len);
	out->address = wire_text(&reader);
	out->port = wire_u16(&reader);
	out->backlog = wire_u16(&reader);
	return verdict(&reader, true);
}

void message_encode_ready(struct wire_writer *writer, const struct ready *ready)
{
	wire_put_raw(writer, hello_magic, HELLO_MAGIC_BYTES);
	wire_put_raw(writer, ready->nonce, HELLO_NONCE_BYTES);
	wire_put_u32(writer, PROTOCOL_GENERATION);
	wire_put_u32(writer, ready->capabilities);
	wire_put_u64(writer, ready->uptime_us);
	wire_put_text(writer, ready->agent_version);
	wire_put_text(writer, ready->kernel);
	wire_put_text(writer, ready->boot_id);
	wire_put_text(writer, ready->boot_error);
}

void message_encode_error(struct wire_writer *writer, const char *code, int error, const char *text)
{
	wire_put_text(writer, code);
	wire_put_u32(writer, (uint32_t)error);
	wire_put_text(writer, text);
}

void message_encode_window(struct wire_writer *writer, const struct window *window)
{
	wire_put_u8(writer, window->channel);
	wire_put_u32(writer, window->bytes);
}

void message_encode_started(struct wire_writer *writer, const struct started *started)
{
	wire_put_u64(writer, started->exec_id);
	wire_put_u32(writer, started->pid);
	wire_put_u32(writer, started->stdin_window);
	wire_put_u64(writer, started->stdout_cursor);
	wire_put_u64(writer, started->stderr_cursor);
}

void message_encode_exit(struct wire_writer *writer, const struct exit_report *report)
{
	wire_put_u32(writer, report->flags);
	wire_put_u32(writer, report->exit_code);
	wire_put_u32(writer, report->signal);
	wire_put_u64(writer, report->stdout_bytes);
	wire_put_u64(writer, report->stderr_bytes);
	wire_put_u64(writer, report->lost_bytes);
	wire_put_u64(writer, report->runtime_us);
	wire_put_u64(writer, report->user_us);
	wire_put_u64(writer, report->system_us);
	wire_put_u64(writer, report->max_rss_kib);
}
