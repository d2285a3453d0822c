/**
 * Where hearth keeps things: the XDG base directories, or all under HEARTH_HOME.
 * Source: XDG Base Directory Specification 0.8.
 */
import { isAbsolute, join } from 'node:path';
import { HearthError } from '../errors/index.js';

export interface HearthPaths {
  /** What may vanish and be fetched again: blobs, built images. */
  readonly cache: string;
  /** What the user installed: environments, kernels, snapshots. */
  readonly data: string;
  /** What runs or ran: sandboxes, journals, logs. */
  readonly state: string;
  readonly config: string;
  /** Sockets; short, because a socket path holds at most 107 bytes. */
  readonly runtime: string;
}

/**
 * The directories for this environment; creates nothing.
 *
 * @param env Looked at: `HEARTH_HOME`, `XDG_*_HOME`, `XDG_RUNTIME_DIR`, `HOME`. Relative XDG values are
 *   ignored, as that specification says.
 * @throws {HearthError} `CONFIG_INVALID` when neither HEARTH_HOME nor HOME is an absolute path.
 */
export function hearthPaths(env: Readonly<Record<string, string | undefined>>): HearthPaths {
  const absolute = (name: string): string | undefined => {
    const value = env[name];
    return value !== undefined && isAbsolute(value) ? value : undefined;
  };
  const hearthHome = env.HEARTH_HOME;
  if (hearthHome !== undefined && hearthHome !== '') {
    if (!isAbsolute(hearthHome)) throw notAbsolute('HEARTH_HOME', hearthHome);
    return {
      cache: join(hearthHome, 'cache'),
      data: join(hearthHome, 'data'),
      state: join(hearthHome, 'state'),
      config: join(hearthHome, 'config'),
      runtime: join(hearthHome, 'run'),
    };
  }
  const home = absolute('HOME');
  const under = (name: string, fallback: string): string => {
    const base = absolute(name) ?? (home === undefined ? undefined : join(home, fallback));
    if (base === undefined) throw notAbsolute('HOME', env.HOME);
    return join(base, 'hearth');
  };
  const state = under('XDG_STATE_HOME', '.local/state');
  const runtime = absolute('XDG_RUNTIME_DIR');
  return {
    cache: under('XDG_CACHE_HOME', '.cache'),
    data: under('XDG_DATA_HOME', '.local/share'),
    state,
    config: under('XDG_CONFIG_HOME', '.config'),
    runtime: runtime === undefined ? join(state, 'run') : join(runtime, 'hearth'),
  };
}

function notAbsolute(name: string, value: string | undefined): HearthError {
  return new HearthError(
    'CONFIG_INVALID',
    `${name} is not an absolute path: ${JSON.stringify(value ?? '')}`,
    {
      hint: 'Set HEARTH_HOME to an absolute path, for example HEARTH_HOME=/tmp/hearth.',
      details: { name, value: value ?? null },
    },
  );
}
