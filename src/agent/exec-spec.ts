/** What to run in the guest, checked and turned into an EXEC message. */
import { constants } from 'node:os';
import { HearthError } from '../errors/index.js';
import { EXEC_FLAGS, type ExecRequest, MAX_RING_BYTES } from '../protocol/index.js';

export interface TerminalSize {
  /** Character cells, 1..65535. */
  readonly rows: number;
  readonly columns: number;
}

export interface ResourceLimit {
  /** Number of the limit as in setrlimit(2); 7 is RLIMIT_NOFILE. */
  readonly resource: number;
  readonly soft: bigint;
  readonly hard: bigint;
}

export interface ExecSpec {
  /** The command and its arguments, kept exactly; the first is searched in the PATH of `env`. */
  readonly argv: readonly (string | Uint8Array)[];
  /** The whole environment; HOME, PATH and, on a terminal, TERM are added where they are missing. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default `/`. */
  readonly cwd?: string;
  /** Create `cwd` when it is missing, as container engines do for WorkingDir. */
  readonly createCwd?: boolean;
  /** `name|uid[:group|gid]`, resolved in the guest; default root. */
  readonly user?: string;
  /** Run on a terminal of this size: standard error arrives on stdout. */
  readonly tty?: TerminalSize;
  /** Give the command a standard input to write to; without, it reads from /dev/null. A terminal has one always. */
  readonly stdin?: boolean;
  /** Kill the whole process group after so many ms, enforced in the guest; 0 or absent: no limit. */
  readonly timeoutMs?: number;
  /** At the time limit, send SIGTERM so many ms before SIGKILL; default 0. */
  readonly graceMs?: number;
  /**
   * Keep the command running when the host goes away, and keep the last `ringBytes` bytes of stdout and
   * of stderr (1..16 MiB) for whoever attaches again.
   */
  readonly detached?: { readonly ringBytes: number };
  /** Most processes of the command; absent: no limit. */
  readonly pidsMax?: number;
  /** Most memory of the command in bytes; absent: no limit. */
  readonly memoryMaxBytes?: number;
  readonly limits?: readonly ResourceLimit[];
}

function invalid(message: string, hint: string, details: Readonly<Record<string, unknown>>): HearthError {
  return new HearthError('USAGE_INVALID', message, { hint, details });
}

function environment(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name === '' || name.includes('=')) {
      throw invalid(
        `not a name of an environment variable: ${JSON.stringify(name)}`,
        'Write variables as NAME=value.',
        { name },
      );
    }
    return `${name}=${value}`;
  });
}

/** Throws `USAGE_INVALID` for what no guest could run. */
export function execRequestOf(spec: ExecSpec, windowBytes: number): ExecRequest {
  if (spec.argv.length === 0 || spec.argv[0]?.length === 0) {
    throw invalid('no command to run', 'Name a command, for example `-- sh -c "echo hello"`.', {});
  }
  const ringBytes = spec.detached?.ringBytes ?? 0;
  if (spec.detached !== undefined && !(ringBytes > 0 && ringBytes <= MAX_RING_BYTES)) {
    throw invalid(`ring of ${ringBytes} bytes`, `Give 1 to ${MAX_RING_BYTES} bytes.`, { ringBytes });
  }
  const flags =
    (spec.tty === undefined ? 0 : EXEC_FLAGS.tty) |
    (spec.stdin === true ? EXEC_FLAGS.stdin : 0) |
    (spec.detached === undefined ? 0 : EXEC_FLAGS.detached) |
    (spec.createCwd === true ? EXEC_FLAGS.createCwd : 0);
  return {
    flags,
    timeoutMs: spec.timeoutMs ?? 0,
    graceMs: spec.graceMs ?? 0,
    windowBytes,
    ringBytes,
    rows: spec.tty?.rows ?? 0,
    columns: spec.tty?.columns ?? 0,
    pidsMax: spec.pidsMax ?? 0,
    memoryMaxBytes: spec.memoryMaxBytes ?? 0,
    user: spec.user ?? '',
    cwd: spec.cwd ?? '',
    argv: spec.argv,
    env: environment(spec.env ?? {}),
    rlimits: spec.limits ?? [],
  };
}

/** The number of a signal given by name (`SIGTERM`) or number (1..64). Throws `USAGE_INVALID`. */
export function signalNumber(signal: NodeJS.Signals | number): number {
  const number = typeof signal === 'number' ? signal : constants.signals[signal];
  if (!(Number.isInteger(number) && number >= 1 && number <= 64)) {
    throw invalid(
      `not a signal: ${String(signal)}`,
      'Name a signal such as SIGTERM, or give a number from 1 to 64.',
      {
        signal,
      },
    );
  }
  return number;
}

const signalNames = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

/** The name of a signal, or `SIG<number>` for one without a name. */
export function signalName(number: number): string {
  return signalNames.get(number) ?? `SIG${number}`;
}
