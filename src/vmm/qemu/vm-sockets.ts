/** Connections to the sockets that a detached QEMU listens on in its directory. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, HearthError } from '../../errors/index.js';

export interface ConnectSocketOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Stops trying when this settles. */
  readonly until: Promise<unknown>;
}

const RETRY_MS = 5;
/** Not made yet, or nobody listens yet. */
const NOT_YET = new Set(['ENOENT', 'ECONNREFUSED', 'EAGAIN']);

/**
 * Connects to the socket `fileName` of the directory as soon as there is one.
 *
 * @throws {HearthError} `VMM_TIMEOUT`; `VMM_REQUEST_FAILED` when `until` settles first; `signal.reason`.
 */
export async function connectSocket(
  directory: string,
  fileName: string,
  { timeoutMs, signal, until }: ConnectSocketOptions,
): Promise<Socket> {
  let over = false;
  until.then(
    () => (over = true),
    () => (over = true),
  );
  const deadline = performance.now() + timeoutMs;
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    // Through the descriptor the path is short, whatever the directory's; a socket's holds 107 bytes.
    const path = `/proc/self/fd/${handle.fd}/${fileName}`;
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await connectOnce(path);
      } catch (error) {
        if (!NOT_YET.has(errnoOf(error) ?? '')) throw error;
      }
      if (over) {
        throw new HearthError('VMM_REQUEST_FAILED', `QEMU ended before it served ${fileName}`, {
          details: { directory, fileName },
        });
      }
      if (performance.now() > deadline) {
        throw new HearthError('VMM_TIMEOUT', `QEMU does not serve ${fileName} after ${timeoutMs} ms`, {
          hint: 'Look at the load of this machine; then run the same command again.',
          details: { directory, fileName, timeoutMs },
        });
      }
      await sleep(RETRY_MS);
    }
  } finally {
    await handle.close();
  }
}

function connectOnce(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // ECONNRESET and EPIPE: the VMM is gone, which its exit tells.
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}
