/** Reaches the user's daemon, and starts it when there is none. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Service } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { acquireLock, type HearthPaths } from '../fsx/index.js';
import { startDetached } from '../subprocess/index.js';
import { createDaemonClient } from './daemon-client.js';
import { checkSocket, type DaemonLocation, daemonLocation, ensureSecureDirectory } from './daemon-socket.js';
import { httpCall } from './http-call.js';

export interface ConnectDaemonOptions {
  readonly paths: HearthPaths;
  /** Of this program. */
  readonly version: string;
  /** The environment of a daemon that has to be started. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How long a daemon that is started here waits for work before it ends, a duration. Default `60s`. */
  readonly idleExit?: string;
  readonly signal?: AbortSignal;
}

const PROGRAM = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const START_LOCK = 'daemon-start.lock';
const LOG_FILE = 'daemon.log';
const START_TIMEOUT_MS = 30_000;
const LOOK_MS = 20;
const DEFAULT_IDLE_EXIT = '60s';

/**
 * A client of a daemon that answers and has this version. A daemon of another version that nobody is talking
 * to is replaced; its sandboxes run on.
 *
 * @throws {HearthError} `DAEMON_INSECURE`, `DAEMON_UNREACHABLE` when it does not come up,
 *   `DAEMON_VERSION_MISMATCH`.
 */
export async function connectDaemon(options: ConnectDaemonOptions): Promise<Service> {
  const { paths, version, signal } = options;
  const location = daemonLocation(paths);
  const client = createDaemonClient({ socketPath: location.socketPath, version });
  if (await answers(location, version, signal)) return client;
  await ensureSecureDirectory(location);
  // Of many that find no daemon, one starts it and the others wait.
  await using _lock = await acquireLock(join(location.directory, START_LOCK), {
    timeoutMs: START_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  if (await answers(location, version, signal)) return client;
  await start(options);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(location, version, signal))) {
    if (performance.now() > deadline) throw notUp(paths);
    await sleep(LOOK_MS, undefined, signal === undefined ? {} : { signal });
  }
  return client;
}

/** Asks the daemon to end: its sandboxes are shut down, or run on. Does nothing when there is none. */
export async function stopDaemon(
  { paths, version, signal }: Pick<ConnectDaemonOptions, 'paths' | 'version' | 'signal'>,
  vms: 'keep' | 'stop',
): Promise<boolean> {
  const { socketPath } = daemonLocation(paths);
  try {
    await httpCall({ socketPath, version, operation: 'daemon.stop', input: { vms }, signal });
    return true;
  } catch (error) {
    if (HearthError.is(error) && error.code === 'DAEMON_UNREACHABLE') return false;
    throw error;
  }
}

async function answers(
  location: DaemonLocation,
  version: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (!(await checkSocket(location))) return false;
  const { socketPath } = location;
  try {
    await httpCall({ socketPath, version, operation: 'daemon.ping', input: {}, signal });
    return true;
  } catch (error) {
    if (!HearthError.is(error)) throw error;
    if (error.code === 'DAEMON_UNREACHABLE') return false;
    if (error.code === 'DAEMON_VERSION_MISMATCH' && error.details.connections === 0) {
      await httpCall({ socketPath, version, operation: 'daemon.stop', input: { vms: 'keep' }, signal });
      return false;
    }
    throw error;
  }
}

async function start({ paths, env, idleExit = DEFAULT_IDLE_EXIT }: ConnectDaemonOptions): Promise<void> {
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  await startDetached(process.execPath, [PROGRAM, 'serve', '--idle-exit', idleExit], {
    cwd: '/',
    env: { ...env },
    logPath: join(paths.state, LOG_FILE),
  });
}

function notUp(paths: HearthPaths): HearthError {
  const logPath = join(paths.state, LOG_FILE);
  return new HearthError(
    'DAEMON_UNREACHABLE',
    `the hearth daemon did not come up within ${START_TIMEOUT_MS / 1000} s`,
    {
      hint: `Read the end of ${logPath}, or run \`hearth serve\` to see what it says.`,
      details: { logPath, timeoutMs: START_TIMEOUT_MS },
    },
  );
}
