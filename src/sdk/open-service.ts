/** The operations for a program: through the user's daemon, or carried out in this process. */
import process from 'node:process';
import type { Service } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { type HearthPaths, hearthPaths, packageVersion } from '../fsx/index.js';
import { connectDaemon } from './connect-daemon.js';

export type HearthMode = 'daemon' | 'in-process';

export interface HearthOptions {
  /**
   * `daemon` (default): the user's daemon does the work and is started when there is none; sandboxes outlive this
   * program. `in-process`: this program holds the sandboxes itself, alone, until it closes.
   */
  readonly mode?: HearthMode | undefined;
  /** Directory of everything that hearth keeps, as `HEARTH_HOME`; absolute. Default: what `env` says. */
  readonly home?: string | undefined;
  /** Looked at instead of `process.env`, and given to a daemon that has to be started. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Of opening only. */
  readonly signal?: AbortSignal | undefined;
}

export interface OpenedService extends AsyncDisposable {
  readonly mode: HearthMode;
  readonly service: Service;
  /** Gives up what this process holds. In-process, `stop` shuts its sandboxes down and `keep` lets them run on. */
  close(sandboxes: 'keep' | 'stop'): Promise<void>;
}

/** Nothing of the request has reached a daemon. */
const NEVER_CONNECTED = new Set<unknown>(['ENOENT', 'ECONNREFUSED']);

/**
 * @throws {HearthError} Those of `connectDaemon`; in-process `STORE_LOCKED` when a daemon or another program has
 *   the sandboxes; `CONFIG_INVALID`.
 */
export async function openService(options: HearthOptions = {}): Promise<OpenedService> {
  const { mode = 'daemon', home, signal } = options;
  signal?.throwIfAborted();
  const env = { ...(options.env ?? process.env), ...(home === undefined ? {} : { HEARTH_HOME: home }) };
  const paths = hearthPaths(env);
  const opened = mode === 'daemon' ? await throughDaemon(paths, env, signal) : await inProcess(paths, env);
  return guarded(mode, opened);
}

type Unguarded = Pick<OpenedService, 'service' | 'close'>;

async function throughDaemon(
  paths: HearthPaths,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal | undefined,
): Promise<Unguarded> {
  const connect = async (by: AbortSignal | undefined): Promise<Service> =>
    await connectDaemon({
      paths,
      env,
      version: packageVersion(),
      ...(by === undefined ? {} : { signal: by }),
    });
  const client = await connect(signal);
  // A daemon that nobody needed for a while has ended; the next one takes over.
  const again = async <T>(ask: () => Promise<T>, by: AbortSignal | undefined): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      if (!HearthError.is(error) || error.code !== 'DAEMON_UNREACHABLE') throw error;
      if (!NEVER_CONNECTED.has(error.details.errno)) throw error;
      await connect(by);
      return await ask();
    }
  };
  return {
    service: {
      call: (name, input, callOptions = {}) =>
        again(() => client.call(name, input, callOptions), callOptions.signal),
      process: (name, input, callOptions = {}) =>
        again(() => client.process(name, input, callOptions), callOptions.signal),
      download: (name, input, callOptions = {}) =>
        again(() => client.download(name, input, callOptions), callOptions.signal),
      // Nothing of the content is taken before there is a connection.
      upload: (name, input, content, callOptions = {}) =>
        again(() => client.upload(name, input, content, callOptions), callOptions.signal),
    },
    async close() {},
  };
}

async function inProcess(
  paths: HearthPaths,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Unguarded> {
  // Only here: a client of the daemon has no need of what carries operations out.
  const [{ createLocalService }, { guestAgentPath, openRuntime }] = await Promise.all([
    import('../contract/index.js'),
    import('../sandboxes/index.js'),
  ]);
  try {
    const runtime = await openRuntime({ paths, agentPath: guestAgentPath(), env });
    return { service: createLocalService(runtime), close: (sandboxes) => runtime.close(sandboxes) };
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'STORE_LOCKED') throw error;
    throw new HearthError('STORE_LOCKED', 'a hearth daemon, or another program, has the sandboxes', {
      hint: "Use mode: 'daemon', or end the daemon first: hearth serve --stop",
      details: error.details,
      cause: error,
    });
  }
}

/** Refuses work once it is closed. */
function guarded(mode: HearthMode, { service, close }: Unguarded): OpenedService {
  let closing: Promise<void> | undefined;
  const assertOpen = (): void => {
    if (closing === undefined) return;
    throw new HearthError('USAGE_INVALID', 'this Hearth is closed', {
      hint: 'Open another one: await Hearth.open()',
    });
  };
  const closeOnce = (sandboxes: 'keep' | 'stop'): Promise<void> => {
    closing ??= close(sandboxes);
    return closing;
  };
  return {
    mode,
    service: {
      async call(name, input, options) {
        assertOpen();
        return await service.call(name, input, options);
      },
      async process(name, input, options) {
        assertOpen();
        return await service.process(name, input, options);
      },
      async download(name, input, options) {
        assertOpen();
        return await service.download(name, input, options);
      },
      async upload(name, input, content, options) {
        assertOpen();
        return await service.upload(name, input, content, options);
      },
    },
    close: closeOnce,
    [Symbol.asyncDispose]: () => closeOnce('stop'),
  };
}
