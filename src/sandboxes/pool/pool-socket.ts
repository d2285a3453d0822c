/**
 * The way from a command to the daemon's pool: a socket beside the daemon's own, there only while it has a pool. The
 * command says in one line what VM it wants; when there is one, the connection is that VM's agent channel from then
 * on, and the VM ends with it. So whoever of the two is killed leaves no VM behind.
 *
 *     → {"protocol":1,"key":"<key of the boot snapshot>"}
 *     ← {"vm":"<id>"}, then bytes of the agent's protocol · {"vm":null}, then the end
 */
import { lstat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { HearthError } from '../../errors/index.js';
import type { HearthPaths } from '../../fsx/index.js';

export const POOL_PROTOCOL = 1;
const MAX_LINE_BYTES = 4096;
const OTHERS = 0o077;
const NEWLINE = 0x0a;

export function poolSocketPath({ runtime }: HearthPaths): string {
  return join(runtime, 'pool.sock');
}

/** Whether there is one that only this user could have made. */
export async function hasPoolSocket(paths: HearthPaths): Promise<boolean> {
  try {
    const socket = await lstat(poolSocketPath(paths));
    const directory = await lstat(paths.runtime);
    const uid = process.getuid?.();
    return (
      socket.isSocket() &&
      directory.isDirectory() &&
      [socket, directory].every((facts) => facts.uid === uid && (facts.mode & OTHERS) === 0)
    );
  } catch {
    return false;
  }
}

/**
 * The first line that comes, as JSON; what comes after it stays in the socket, which is paused then.
 *
 * @throws {HearthError} `DAEMON_PROTOCOL_INVALID` when it is none, is too long, or does not come in time.
 */
export function readJsonLine(socket: Socket, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0);
    const fail = (what: string): void => {
      settle();
      reject(new HearthError('DAEMON_PROTOCOL_INVALID', `the pool's other side ${what}`));
    };
    const timer = setTimeout(() => fail(`said nothing for ${timeoutMs} ms`), timeoutMs);
    const onEnd = (): void => fail('went away');
    const onData = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk]);
      const end = held.indexOf(NEWLINE);
      if (end === -1 && held.byteLength <= MAX_LINE_BYTES) return;
      if (end === -1 || end > MAX_LINE_BYTES) {
        fail('sent a line that is too long');
        return;
      }
      settle();
      const rest = held.subarray(end + 1);
      if (rest.byteLength > 0) socket.unshift(rest);
      try {
        resolve(JSON.parse(held.subarray(0, end).toString('utf8')));
      } catch {
        fail('sent a line that is no JSON');
      }
    };
    const settle = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      socket.pause();
    };
    socket.on('data', onData).once('end', onEnd).once('close', onEnd);
  });
}
