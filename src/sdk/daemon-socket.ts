/**
 * Where the daemon listens: a socket (0600) in a directory of the user alone (0700). The modes are what keeps
 * others out, so a directory or socket that is open to others is refused, not used.
 */
import type { Stats } from 'node:fs';
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';

export interface DaemonLocation {
  readonly directory: string;
  readonly socketPath: string;
}

/** sun_path holds 108 bytes with its closing NUL; unix(7). */
const MAX_SOCKET_PATH_BYTES = 107;
const OTHERS = 0o077;

/** @throws {HearthError} `PATH_TOO_LONG`. */
export function daemonLocation({ runtime }: HearthPaths): DaemonLocation {
  const socketPath = join(runtime, 'daemon.sock');
  const lengthBytes = Buffer.byteLength(socketPath);
  if (lengthBytes > MAX_SOCKET_PATH_BYTES) {
    throw new HearthError(
      'PATH_TOO_LONG',
      `the path of the daemon's socket has ${lengthBytes} bytes: ${socketPath}`,
      {
        hint: `Set XDG_RUNTIME_DIR or HEARTH_HOME to a shorter path; a socket's has at most ${MAX_SOCKET_PATH_BYTES} bytes.`,
        details: { socketPath, lengthBytes, maxBytes: MAX_SOCKET_PATH_BYTES },
      },
    );
  }
  return { directory: runtime, socketPath };
}

/** Makes the directory, or checks the one that is there. @throws {HearthError} `DAEMON_INSECURE`. */
export async function ensureSecureDirectory({ directory }: DaemonLocation): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(error, directory);
  }
  const stats = await lstat(directory);
  assertOurs(
    directory,
    stats,
    stats.isDirectory() && (stats.mode & OTHERS) === 0,
    'a directory of mode 0700',
  );
}

/**
 * Checks the socket before it is trusted.
 *
 * @returns false when there is none.
 * @throws {HearthError} `DAEMON_INSECURE`.
 */
export async function checkSocket({ directory, socketPath }: DaemonLocation): Promise<boolean> {
  const [parent, socket] = await Promise.all([statOf(directory), statOf(socketPath)]);
  if (parent === undefined || socket === undefined) return false;
  assertOurs(
    directory,
    parent,
    parent.isDirectory() && (parent.mode & OTHERS) === 0,
    'a directory of mode 0700',
  );
  assertOurs(socketPath, socket, socket.isSocket() && (socket.mode & OTHERS) === 0, 'a socket of mode 0600');
  return true;
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw fileError(error, path);
  }
}

function assertOurs(path: string, stats: Stats, fits: boolean, expected: string): void {
  const uid = process.getuid?.() ?? -1;
  if (fits && stats.uid === uid) return;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  throw new HearthError(
    'DAEMON_INSECURE',
    `${path} is not ${expected} of this user: owner ${stats.uid}, mode ${mode}`,
    {
      hint: `Look who made it; then remove it, or make it yours: chmod 700 ${path}`,
      details: { path, owner: stats.uid, mode, expectedOwner: uid },
    },
  );
}
