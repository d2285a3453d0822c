/** Commands in a sandbox: from what a user asks for to a running process of its guest. */
import type { ExecSpec, GuestProcess, TerminalSize } from '../agent/index.js';
import { resolveGuestCommand } from './guest-command.js';
import type { SandboxRecord } from './sandbox-record.js';

export interface SandboxExecSpec {
  /** At least one word, kept exactly. */
  readonly argv: readonly string[];
  /** Added to the sandbox's; the same name replaces. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Variables that hold a secret of the sandbox: its name by theirs. */
  readonly secretEnv?: Readonly<Record<string, string>> | undefined;
  /** Default: the sandbox's. */
  readonly workdir?: string | undefined;
  /** `name|uid[:group|gid]`; default: the sandbox's. */
  readonly user?: string | undefined;
  /** Give it a standard input; without, it reads from /dev/null. */
  readonly stdin?: boolean | undefined;
  /** A terminal of this size; stdout and stderr are then one stream. */
  readonly terminal?: TerminalSize | undefined;
  /** Kills its process group after so many ms, exit code 124. 0 or absent: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Between SIGTERM and SIGKILL at the time limit; default 0. */
  readonly graceMs?: number | undefined;
  /** It goes on when whoever started it goes away, and this much of its output is kept. */
  readonly detached?: { readonly ringBytes: number } | undefined;
  readonly pidsMax?: number | undefined;
  readonly memoryMaxBytes?: number | undefined;
}

/**
 * @param weakest Variables that anything else replaces.
 * @param strongest Variables that replace any other.
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function execSpecOf(
  record: SandboxRecord,
  spec: SandboxExecSpec,
  weakest: Readonly<Record<string, string>>,
  strongest: Readonly<Record<string, string>>,
): ExecSpec {
  const { argv, env, cwd, user } = resolveGuestCommand(
    {
      env: [...words(weakest), ...record.defaults.env],
      workingDir: record.defaults.workdir,
      user: record.defaults.user,
    },
    {
      command: spec.argv,
      env: new Map(Object.entries({ ...spec.env, ...strongest })),
      ...(spec.workdir === undefined ? {} : { workdir: spec.workdir }),
      ...(spec.user === undefined ? {} : { user: spec.user }),
    },
  );
  return {
    argv,
    env: Object.fromEntries(env),
    cwd,
    // The image's WorkingDir need not exist; a directory that a user names has to.
    createCwd: spec.workdir === undefined,
    user,
    stdin: spec.stdin === true,
    ...(spec.terminal === undefined ? {} : { tty: spec.terminal }),
    ...(spec.timeoutMs === undefined ? {} : { timeoutMs: spec.timeoutMs }),
    ...(spec.graceMs === undefined ? {} : { graceMs: spec.graceMs }),
    ...(spec.detached === undefined ? {} : { detached: spec.detached }),
    ...(spec.pidsMax === undefined ? {} : { pidsMax: spec.pidsMax }),
    ...(spec.memoryMaxBytes === undefined ? {} : { memoryMaxBytes: spec.memoryMaxBytes }),
  };
}

function words(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`);
}

/** The same process, whose failures `explain` puts into the sandbox's words. */
export function explained(guest: GuestProcess, explain: (error: unknown) => Promise<unknown>): GuestProcess {
  const reworded = async <T>(promise: Promise<T>): Promise<T> => {
    try {
      return await promise;
    } catch (error) {
      throw await explain(error);
    }
  };
  const started = reworded(guest.started);
  const exited = reworded(guest.exited);
  // Whoever waits for one of the two need not handle the other.
  started.catch(() => {});
  exited.catch(() => {});
  return {
    stdin: guest.stdin,
    stdout: guest.stdout,
    stderr: guest.stderr,
    started,
    exited,
    kill: (signal, target) => guest.kill(signal, target),
    resize: (size) => guest.resize(size),
    abandon: (reason) => guest.abandon(reason),
  };
}
