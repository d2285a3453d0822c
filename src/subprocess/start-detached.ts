/** Starts a program that lives on without us, in a session of its own. */
import { spawn } from 'node:child_process';
import { open, stat, truncate } from 'node:fs/promises';

export interface StartDetachedOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Takes stdout and stderr, after what is there; starts anew when that is more than 1 MiB. */
  readonly logPath: string;
}

const MAX_LOG_BYTES = 1024 * 1024;

/** @returns The process's number. Throws what spawn throws. */
export async function startDetached(
  command: string,
  args: readonly string[],
  { cwd, env, logPath }: StartDetachedOptions,
): Promise<number> {
  const log = await open(logPath, 'a', 0o600);
  try {
    if ((await stat(logPath)).size > MAX_LOG_BYTES) await truncate(logPath);
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', log.fd, log.fd] });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    return child.pid ?? -1;
  } finally {
    await log.close();
  }
}
