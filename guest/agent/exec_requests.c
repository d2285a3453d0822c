#include <errno.h>
#include <sys/ioctl.h>

#include "exec_internal.h"

enum { LIST_BYTES = 256 * 1024 };

static void on_message(struct stream *stream, uint8_t type, const uint8_t *payload, size_t len)
{
	struct exec *exec = container_of(stream, struct exec, stream);
	struct window window;
	struct signal_request request;
	struct resize_request size;
	switch (type) {
	case MESSAGE_DATA0:
		inlet_data(&exec->in, payload, len);
		break;
	case MESSAGE_WINDOW:
		if (message_decode_window(payload, len, &window) == 0 && window.channel >= 1)
			outlet_grant(&exec->out[window.channel - 1], window.bytes);
		break;
	case MESSAGE_SIGNAL:
		if (!exec->is_job && message_decode_signal(payload, len, &request) == 0)
			exec_signal(exec, request.signal, request.target);
		break;
	case MESSAGE_RESIZE:
		if (exec->tty && exec->out[0].source.fd >= 0 && message_decode_resize(payload, len, &size) == 0) {
			struct winsize cells = {.ws_row = size.rows, .ws_col = size.columns};
			ioctl(exec->out[0].source.fd, TIOCSWINSZ, &cells);
		}
		break;
	case MESSAGE_RESET:
		stream_finish(stream, MESSAGE_CLOSED, NULL, 0);
		exec_leave(exec);
		break;
	default:
		break;
	}
}

static void on_room(struct stream *stream)
{
	struct exec *exec = container_of(stream, struct exec, stream);
	outlet_pump(&exec->out[0]);
	outlet_pump(&exec->out[1]);
	exec_settle(exec);
}

static void on_dropped(struct stream *stream)
{
	exec_leave(container_of(stream, struct exec, stream));
}

const struct stream_ops exec_stream_ops = {on_message, on_room, on_dropped};

void exec_attach(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct attach_request request;
	if (message_decode_attach(payload, len, &request) < 0) {
		stream_refuse(stream_id, "REQUEST_INVALID", EINVAL, "ATTACH");
		return;
	}
	struct exec *exec = exec_find(request.exec_id);
	if (exec == NULL || !exec->detached) {
		stream_refuse(stream_id, "EXEC_UNKNOWN", ESRCH, "no such detached command");
		return;
	}
	if (exec->stream.id != 0) {
		stream_refuse(stream_id, "EXEC_ATTACHED", EBUSY, "the command has a reader already");
		return;
	}
	if (!stream_open(&exec->stream, stream_id, &exec_stream_ops)) {
		stream_refuse(stream_id, "TOO_MANY", EAGAIN, "too many streams");
		return;
	}
	outlet_attach(&exec->out[0], request.stdout_cursor, request.window_bytes);
	outlet_attach(&exec->out[1], request.stderr_cursor, request.window_bytes);
	exec->in.ungranted = 0;
	/* A command that has not said yet whether it runs will do so on the new stream. */
	if (exec->report.fd < 0)
		exec_tell_started(exec);
	outlet_pump(&exec->out[0]);
	outlet_pump(&exec->out[1]);
	exec_settle(exec);
}

void exec_list(uint32_t stream_id)
{
	static uint8_t payload[LIST_BYTES];
	struct wire_writer writer = {payload, sizeof(payload), false};
	uint32_t count = 0;
	for (const struct exec *exec = exec_first(); exec != NULL; exec = exec->next)
		count += exec->is_job || exec->abandoned ? 0 : 1;
	wire_put_u32(&writer, count);
	for (const struct exec *exec = exec_first(); exec != NULL; exec = exec->next) {
		if (exec->is_job || exec->abandoned)
			continue;
		struct exit_report report;
		exec_report_exit(exec, &report);
		wire_put_u64(&writer, exec->id);
		wire_put_u32(&writer, (uint32_t)exec->pid);
		wire_put_u8(&writer, (uint8_t)((exec->exited ? 1 : 0) | (exec->detached ? 2 : 0) |
					       (exec->stream.id != 0 ? 4 : 0) | (exec->tty ? 8 : 0)));
		wire_put_u32(&writer, exec->exited ? report.exit_code : 0);
		wire_put_u32(&writer, exec->exited ? report.signal : 0);
		wire_put_u64(&writer, report.stdout_bytes);
		wire_put_u64(&writer, report.stderr_bytes);
		wire_put_text(&writer, exec->name);
	}
	stream_reply_ok(stream_id, payload, (size_t)(writer.at - payload));
}

void exec_forget(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	uint64_t id = 0;
	struct exec *exec = message_decode_u64(payload, len, &id) < 0 ? NULL : exec_find(id);
	if (exec == NULL || !exec->detached) {
		stream_refuse(stream_id, "EXEC_UNKNOWN", ESRCH, "no such detached command");
	} else if (!exec->exited || exec->stream.id != 0) {
		stream_refuse(stream_id, "EXEC_RUNNING", EBUSY, "the command is running or being read");
	} else {
		exec_release(exec);
		stream_reply_ok(stream_id, NULL, 0);
	}
}

void exec_kill(uint32_t stream_id, const uint8_t *payload, size_t len)
{
	struct signal_request request;
	struct exec *exec = message_decode_exec_kill(payload, len, &request) < 0 ? NULL : exec_find(request.exec_id);
	if (exec == NULL) {
		stream_refuse(stream_id, "EXEC_UNKNOWN", ESRCH, "no such command");
		return;
	}
	exec_signal(exec, request.signal, request.target);
	stream_reply_ok(stream_id, NULL, 0);
}
