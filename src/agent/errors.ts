/** Errors of the channel and of the guest, in our codes; texts of the guest are data and are cleaned. */
import { constants } from 'node:os';
import { type ErrorCode, HearthError } from '../errors/index.js';
import type { ERROR, MessageValue } from '../protocol/index.js';

const MAX_TEXT_LENGTH = 512;
const RESTART_HINT = 'Start the sandbox again; `hearth logs` shows what its console said.';

/** Text of the guest for people: control characters escaped, at most 512 characters. */
export function cleanText(text: string): string {
  const cut = text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text;
  return cut.replace(
    /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

export function protocolError(what: string, details: Readonly<Record<string, unknown>> = {}): HearthError {
  return new HearthError('AGENT_PROTOCOL_INVALID', `guest agent broke the protocol: ${what}`, {
    hint: 'The guest is not to be trusted any more; remove the sandbox and create a new one.',
    details: { what, ...details },
  });
}

export function disconnected(cause?: unknown): HearthError {
  return new HearthError('AGENT_DISCONNECTED', 'the channel to the guest agent has closed', {
    hint: RESTART_HINT,
    ...(cause === undefined ? {} : { cause }),
  });
}

export function agentTimeout(what: string, timeoutMs: number): HearthError {
  return new HearthError('AGENT_TIMEOUT', `${what}: no answer from the guest agent within ${timeoutMs} ms`, {
    hint: RESTART_HINT,
    details: { what, timeoutMs },
  });
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EXEC_NOT_FOUND: 'EXEC_NOT_FOUND',
  EXEC_NOT_EXECUTABLE: 'EXEC_NOT_EXECUTABLE',
  EXEC_USER_UNKNOWN: 'EXEC_USER_UNKNOWN',
  EXEC_USER_DENIED: 'EXEC_FAILED',
  EXEC_CWD_INVALID: 'EXEC_CWD_INVALID',
  EXEC_LIMIT_INVALID: 'EXEC_LIMIT_INVALID',
  EXEC_FAILED: 'EXEC_FAILED',
  EXEC_UNKNOWN: 'EXEC_UNKNOWN',
  EXEC_ATTACHED: 'EXEC_CONFLICT',
  EXEC_RUNNING: 'EXEC_CONFLICT',
  SHUTTING_DOWN: 'EXEC_CONFLICT',
  TOO_MANY: 'AGENT_BUSY',
  REQUEST_UNSUPPORTED: 'AGENT_REQUEST_UNSUPPORTED',
  NOT_A_GUEST: 'AGENT_REQUEST_UNSUPPORTED',
  CONNECT_FAILED: 'GUEST_CONNECT_REFUSED',
};

const FILE_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'GUEST_FILE_NOT_FOUND',
  ENOTDIR: 'GUEST_FILE_NOT_FOUND',
  EEXIST: 'GUEST_FILE_EXISTS',
  ENOTEMPTY: 'GUEST_FILE_EXISTS',
  EISDIR: 'GUEST_FILE_INVALID',
  EINVAL: 'GUEST_FILE_INVALID',
  ELOOP: 'GUEST_FILE_INVALID',
  ENAMETOOLONG: 'GUEST_FILE_INVALID',
  EACCES: 'GUEST_FILE_DENIED',
  EPERM: 'GUEST_FILE_DENIED',
  EROFS: 'GUEST_FILE_DENIED',
  ENOSPC: 'GUEST_DISK_FULL',
  EDQUOT: 'GUEST_DISK_FULL',
};

const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  EXEC_NOT_FOUND: 'Check the spelling of the command and that the image contains it.',
  EXEC_NOT_EXECUTABLE: 'Make the file executable in the guest (`chmod +x`), or name its interpreter.',
  EXEC_USER_UNKNOWN: 'Name a user of the image’s /etc/passwd, or give numbers: `--user 1000:1000`.',
  EXEC_CWD_INVALID: 'Name a directory that exists in the guest.',
  AGENT_REQUEST_UNSUPPORTED:
    'The sandbox runs the agent of another version of hearth: stop it and start it again (`hearth stop`, `hearth start`).',
  GUEST_FILE_NOT_FOUND: 'List the directory above it: `hearth file list SANDBOX DIRECTORY`.',
  AGENT_BUSY: 'Wait until some of the running commands have ended.',
  GUEST_DISK_FULL: 'Remove files in the guest, or create the sandbox with a larger `--disk`.',
};

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** The error that the guest answered to `what`, in our codes; the text is the guest's, cleaned. */
export function guestError(what: string, reply: MessageValue<typeof ERROR>): HearthError {
  const errno = errnoNames.get(reply.errno);
  const guestCode = cleanText(reply.code);
  const byErrno =
    guestCode === 'FILE_FAILED' || errno === 'ENOSPC' || errno === 'EDQUOT'
      ? FILE_CODES[errno ?? '']
      : undefined;
  const code = CODES[guestCode] ?? byErrno ?? 'AGENT_REQUEST_FAILED';
  const hint = HINTS[code];
  return new HearthError(code, `${what}: ${cleanText(reply.text)}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { what, guestCode, errno: errno ?? reply.errno },
  });
}
