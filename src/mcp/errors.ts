/** Errors in the form that a model can act on: a tool result with the code, what failed, and what to do next. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { errorToJson } from '../contract/index.js';
import type { ErrorCode } from '../errors/index.js';
import { guestText } from './guest-text.js';
import type { ToolName } from './tool-names.js';

const MAX_MESSAGE_CHARS = 4000;

/** What a model can do itself, where the tool to do it with is there. */
const HINTS: Partial<Record<ErrorCode, { readonly tool?: ToolName; readonly hint: string }>> = {
  SANDBOX_NOT_FOUND: { tool: 'sandbox_list', hint: 'Call sandbox_list for the names there are.' },
  SANDBOX_AMBIGUOUS: { tool: 'sandbox_list', hint: 'Call sandbox_list and give a whole name.' },
  SANDBOX_EXISTS: { tool: 'sandbox_list', hint: 'Choose another name, or use the sandbox of this name.' },
  SANDBOX_STOPPED: { hint: 'Call the tool again; the sandbox is started by itself.' },
  ENVIRONMENT_NOT_FOUND: { tool: 'environment_list', hint: 'Call environment_list for the names there are.' },
  REQUEST_INVALID: { hint: 'Correct the named fields and call the tool again.' },
  EXEC_CWD_INVALID: { hint: 'Give a workdir that exists in the sandbox, or leave it out.' },
  EXEC_USER_UNKNOWN: { hint: 'Give a user of /etc/passwd in the sandbox, or leave it out.' },
  MEMORY_TOO_SMALL: { hint: 'Give more memoryMib.' },
  GUEST_FILE_NOT_FOUND: { hint: 'Look at the directory with sandbox_exec: ls -la.' },
  PATCH_CONFLICT: {
    tool: 'file_read',
    hint: 'Read the file with file_read and make the context fit it exactly.',
  },
  PATCH_INVALID: { tool: 'file_write', hint: 'Write a unified diff, or the whole file with file_write.' },
  SNAPSHOT_NOT_FOUND: { tool: 'snapshot_list', hint: 'Call snapshot_list for the names there are.' },
  SNAPSHOT_EXISTS: {
    tool: 'snapshot_remove',
    hint: 'Choose another name, or remove it with snapshot_remove.',
  },
  SERVICE_NOT_FOUND: { tool: 'service_list', hint: 'Call service_list for the names there are.' },
  SERVICE_EXISTS: { tool: 'service_stop', hint: 'Choose another name, or end it first with service_stop.' },
  SERVICE_NOT_READY: { tool: 'service_logs', hint: 'Look at what it wrote with service_logs.' },
  SERVICE_FAILED: { tool: 'service_logs', hint: 'Look at what it wrote with service_logs.' },
  SHELL_NOT_FOUND: { tool: 'shell_open', hint: 'Open one with shell_open.' },
  SEED_INVALID: {
    tool: 'sandbox_create',
    hint: 'Call sandbox_create with project false to begin without it.',
  },
};

/** @param has Whether the view has a tool, so that no hint names one that is not there. */
export function errorResult(error: unknown, has: (tool: ToolName) => boolean): CallToolResult {
  const { code, kind, message, hint } = errorToJson(error);
  const own = HINTS[code];
  const next = own !== undefined && (own.tool === undefined || has(own.tool)) ? own.hint : hintForUser(hint);
  const lines = [
    `error[${code}]: ${guestText(message).slice(0, MAX_MESSAGE_CHARS)}`,
    ...(next === undefined ? [] : [`hint: ${next}`]),
  ];
  return {
    isError: true,
    content: [{ type: 'text', text: lines.join('\n') }],
    _meta: { 'hearth/error': { code, kind, ...(next === undefined ? {} : { hint: next }) } },
  };
}

/** Other hints are for whoever sits at the host's terminal. */
function hintForUser(hint: string | undefined): string | undefined {
  if (hint === undefined) return undefined;
  return /`hearth |\bhearth [a-z]/.test(hint) ? `Ask the user: ${hint}` : hint;
}
