/** The life of the daemon: one per user, from its lock to the removal of its socket. */
import { chmod, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalService } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { acquireLock, type HearthPaths, type Lock } from '../fsx/index.js';
import { type ListenAddress, openListener, tokenGuard } from '../listen/index.js';
import { openRuntime, type PoolOptions, type Runtime } from '../sandboxes/index.js';
import { daemonLocation, ensureSecureDirectory } from '../sdk/index.js';
import { createDaemonServer, type DaemonServer } from './server.js';

export interface RunDaemonOptions {
  readonly paths: HearthPaths;
  readonly version: string;
  readonly agentPath: string;
  /** Ends after so many ms without a running sandbox and without a request; absent: never. */
  readonly idleExitMs?: number;
  /** Listens there too, for whoever brings the token. */
  readonly tcp?: { readonly address: ListenAddress; readonly token: string };
  /** VMs that wait for commands. */
  readonly pool?: PoolOptions;
  /** Shuts the sandboxes down and ends. */
  readonly signal?: AbortSignal;
  readonly onReady?: (ready: {
    readonly socketPath: string;
    /** Of TCP. */
    readonly url: string | undefined;
    readonly runtime: Runtime;
  }) => void;
}

type VmsAtTheEnd = 'keep' | 'stop';

const LOCK_FILE = 'daemon.lock';
const LOOK_MS = 500;
const FINISH_TIMEOUT_MS = 2000;
const SOCKET_UMASK = 0o177;

/**
 * Serves until it is told to end, or nobody needs it.
 *
 * @throws {HearthError} `DAEMON_RUNNING`, `DAEMON_INSECURE`, and those of `openRuntime`.
 */
export async function runDaemon(options: RunDaemonOptions): Promise<void> {
  const { paths, version, agentPath, signal } = options;
  const location = daemonLocation(paths);
  await ensureSecureDirectory(location);
  const lock = await lockDaemon(join(location.directory, LOCK_FILE), location.socketPath);
  try {
    const runtime = await openRuntime({ paths, agentPath });
    // Whoever cannot serve leaves the VMs as they are.
    let vms: VmsAtTheEnd = 'keep' as VmsAtTheEnd;
    const servers: Server[] = [];
    const closeAll = (): void => {
      for (const http of servers) {
        http.close();
        http.closeIdleConnections();
      }
    };
    try {
      let stop: () => void = () => undefined;
      const stopped = new Promise<void>((resolve) => {
        stop = resolve;
      });
      const server = createDaemonServer({
        service: createLocalService(runtime),
        runtime,
        version,
        onStop: (choice) => {
          vms = choice;
          stop();
        },
      });
      servers.push(server.http);
      signal?.addEventListener('abort', stop, { once: true });
      if (signal?.aborted === true) stop();
      const tcp = options.tcp === undefined ? undefined : await listenTcp(server, options.tcp);
      if (tcp !== undefined) servers.push(tcp.http);
      await listen(server.http, location.socketPath);
      if (options.pool !== undefined) await runtime.pool.open(options.pool);
      const watch = watchIdle(options, server, runtime, () => {
        vms = 'keep';
        stop();
      });
      vms = 'stop' as VmsAtTheEnd;
      options.onReady?.({ socketPath: location.socketPath, url: tcp?.url, runtime });
      await stopped;
      clearInterval(watch);
      // Whoever comes now finds no daemon, waits for the lock, and starts the next one.
      await rm(location.socketPath, { force: true });
      closeAll();
      if (vms === 'keep') await finishRequests(server);
    } finally {
      closeAll();
      await runtime.close(vms);
    }
  } finally {
    await lock.release();
  }
}

async function lockDaemon(path: string, socketPath: string): Promise<Lock> {
  try {
    return await acquireLock(path, { timeoutMs: 0 });
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'STORE_LOCKED') throw error;
    throw new HearthError('DAEMON_RUNNING', `a hearth daemon is running already, on ${socketPath}`, {
      hint: 'Use it, or end it first: hearth serve --stop',
      details: { socketPath },
      cause: error,
    });
  }
}

/** Takes the place of a socket that nobody serves: whoever holds the lock is the only daemon. */
async function listen(server: Server, socketPath: string): Promise<void> {
  await rm(socketPath, { force: true });
  const previous = process.umask(SOCKET_UMASK);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
  } finally {
    process.umask(previous);
  }
  await chmod(socketPath, 0o600);
}

async function listenTcp(
  server: DaemonServer,
  { address, token }: NonNullable<RunDaemonOptions['tcp']>,
): Promise<{ readonly http: Server; readonly url: string }> {
  const http = server.guardedHttp(tokenGuard(token));
  return { http, url: await openListener(http, address) };
}

/** Lets what has been taken come to its end, within a limit. */
async function finishRequests(server: DaemonServer): Promise<void> {
  const deadline = performance.now() + FINISH_TIMEOUT_MS;
  while (server.activeCount > 0 && performance.now() < deadline) await sleep(LOOK_MS / 10);
}

function watchIdle(
  { idleExitMs }: RunDaemonOptions,
  server: DaemonServer,
  runtime: Runtime,
  onIdle: () => void,
): NodeJS.Timeout | undefined {
  if (idleExitMs === undefined) return undefined;
  let busyAt = performance.now();
  return setInterval(() => {
    const now = performance.now();
    if (server.activeCount > 0 || runtime.activeCount > 0) busyAt = now;
    busyAt = Math.max(busyAt, server.lastActiveAt);
    if (now - busyAt >= idleExitMs) onIdle();
  }, LOOK_MS).unref();
}
