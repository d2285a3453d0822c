/**
 * One command in a fresh VM: clone, boot, execute, throw everything away.
 *
 * Whatever ends it (exit, timeout, abort, a fault), the VMM process, its sockets and its disk are gone when it
 * resolves or rejects.
 */
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AgentClient, ExecExit, GuestProcess, TerminalSize } from '../agent/index.js';
import { errnoOf, type HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { EgressEvent, EgressPolicy } from '../network/index.js';
import type { VmDriver } from '../vmm/index.js';
import type { GuestCommand } from './guest-command.js';
import {
  type Machine,
  type MachinePhase,
  type StartKind,
  startMachine,
  type UsedSnapshot,
} from './machine.js';
import type { MachineSpec } from './machine-spec.js';
import type { Egress } from './network/run-egress.js';
import { hasPoolSocket } from './pool/pool-socket.js';
import { createVmDirectory } from './vm-directory.js';

export interface RunSpec extends MachineSpec {
  readonly command: GuestCommand;
  /** Kills the command after this many ms; the outcome then says `timedOut`, exit code 124. 0: no limit. */
  readonly timeoutMs?: number;
  /** Most processes of the command at once; absent: no limit. */
  readonly pidsLimit?: number;
  /** A terminal of this size for the command; stdout and stderr are then one stream. */
  readonly terminal?: TerminalSize;
  /** What the command may reach by HTTP and HTTPS. Default: nothing; the VM has no network device either way. */
  readonly egress?: EgressPolicy;
  /** Variables of the command, and files of its guest; not shown in what it writes. */
  readonly secrets?: ReadonlyMap<string, string>;
}

export interface RunStreams {
  /** Absent: the command reads from /dev/null. */
  readonly stdin?: Readable;
  /** Written with back-pressure, never ended. */
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface RunOptions {
  readonly paths: HearthPaths;
  readonly driver?: VmDriver;
  /** Default `warm`. */
  readonly start?: StartKind;
  readonly signal?: AbortSignal;
  /** Told why a warm start was not possible. */
  readonly onFallback?: (error: HearthError) => void;
  readonly onPhase?: (phase: MachinePhase | 'exec' | 'stop') => void;
  /** Called once the command runs, with the handle for signals and terminal sizes. */
  readonly onStarted?: (process: GuestProcess) => void;
  /** Told of every connection that the command asked for; a guest can cause thousands a second. */
  readonly onEgress?: (event: EgressEvent) => void;
}

export interface RunOutcome extends ExecExit {
  /** `pool`: it waited in the daemon's pool. */
  readonly start: StartKind | 'pool';
  /** What its VM was resumed from by this command; undefined when it booted, or waited in the pool. */
  readonly snapshot: UsedSnapshot | undefined;
  /** Whole ms of each phase; `boot` of a VM from the pool is the way to it. */
  readonly durationsMs: {
    readonly prepare: number;
    readonly clone: number;
    readonly boot: number;
    readonly exec: number;
    readonly stop: number;
  };
}

/** Where the directories of machines that last as long as their command are. */
function ephemeralDirectory(paths: HearthPaths): string {
  return join(paths.runtime, 'vms');
}

/**
 * Runs the command.
 *
 * @throws {HearthError} What `startMachine` throws; `USER_NOT_FOUND` and other reasons of the guest not to start
 *   the command; `AGENT_DISCONNECTED` when the VM dies under it. Rejects with `signal.reason` when aborted.
 */
export async function runOnce(spec: RunSpec, streams: RunStreams, options: RunOptions): Promise<RunOutcome> {
  const pooled = await fromPool(spec, options);
  if (pooled !== undefined) return await runIn(pooled, spec, streams, options);
  const { paths, signal, start, onPhase, onFallback, driver } = options;
  await using directory = await createVmDirectory(ephemeralDirectory(paths));
  const machine = await startMachine(spec, {
    paths,
    directory: directory.path,
    hostname: directory.id,
    ...(start === undefined ? {} : { start }),
    ...(onFallback === undefined ? {} : { onFallback }),
    ...(driver === undefined ? {} : { driver }),
    ...(signal === undefined ? {} : { signal }),
    ...(onPhase === undefined ? {} : { onPhase }),
  });
  return await runIn(machine, spec, streams, options);
}

type RunMachine = Pick<Machine, 'agent' | 'snapshot' | 'durationsMs' | 'close'> & Pick<RunOutcome, 'start'>;

/** Undefined where there is no pool, it has none that fits, or another start is wanted. */
async function fromPool(
  spec: RunSpec,
  { paths, signal, start = 'warm', driver }: RunOptions,
): Promise<RunMachine | undefined> {
  if (start !== 'warm' || driver !== undefined || !(await hasPoolSocket(paths))) return undefined;
  const startedAt = performance.now();
  const { claimPooled } = await import('./pool/claim-pooled.js');
  const machine = await claimPooled(spec, { paths, ...(signal === undefined ? {} : { signal }) });
  if (machine === undefined) return undefined;
  const boot = Math.round(performance.now() - startedAt);
  return { ...machine, start: 'pool', snapshot: undefined, durationsMs: { prepare: 0, clone: 0, boot } };
}

async function runIn(
  machine: RunMachine,
  spec: RunSpec,
  streams: RunStreams,
  { signal, onPhase, onStarted, onEgress = () => {} }: RunOptions,
): Promise<RunOutcome> {
  let exit: ExecExit;
  let egress: Egress | undefined;
  const startedAt = performance.now();
  let endedAt: number;
  try {
    onPhase?.('exec');
    const { argv, env, cwd, user } = spec.command;
    if (spec.egress !== undefined) {
      const { openEgress } = await import('./network/run-egress.js');
      egress = await openEgress(machine.agent, spec.egress, onEgress);
    }
    const covered =
      spec.secrets === undefined ? undefined : await giveTo(machine.agent, spec.secrets, signal);
    const process = machine.agent.exec(
      {
        argv,
        env: { ...egress?.env, ...Object.fromEntries(env), ...Object.fromEntries(spec.secrets ?? []) },
        cwd,
        createCwd: true,
        user,
        stdin: streams.stdin !== undefined,
        ...(spec.terminal === undefined ? {} : { tty: spec.terminal }),
        ...(spec.timeoutMs === undefined ? {} : { timeoutMs: spec.timeoutMs }),
        ...(spec.pidsLimit === undefined ? {} : { pidsMax: spec.pidsLimit }),
      },
      signal === undefined ? {} : { signal },
    );
    onStarted?.(process);
    exit = await follow(covered?.(process) ?? process, streams);
  } finally {
    endedAt = performance.now();
    onPhase?.('stop');
    egress?.close();
    await machine.close();
  }
  return {
    ...exit,
    start: machine.start,
    snapshot: machine.snapshot,
    durationsMs: {
      ...machine.durationsMs,
      exec: Math.round(endedAt - startedAt),
      stop: Math.round(performance.now() - endedAt),
    },
  };
}

/** Puts the secrets into the guest. @returns What takes them out of the output of a command. */
async function giveTo(
  agent: AgentClient,
  secrets: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<(process: GuestProcess) => GuestProcess> {
  const { coverFor, giveSecrets } = await import('./secrets/for-one-command.js');
  await giveSecrets(agent, secrets, signal === undefined ? {} : { signal });
  return coverFor(secrets);
}

/** Moves the streams until the command has ended and all its output is written. */
async function follow(process: GuestProcess, streams: RunStreams): Promise<ExecExit> {
  const outputs = [
    deliver(process.stdout, streams.stdout, process),
    deliver(process.stderr, streams.stderr, process),
  ];
  if (streams.stdin !== undefined && process.stdin !== undefined) {
    // The command may end without having read its input; that is its business.
    pipeline(streams.stdin, process.stdin).catch(() => {});
  }
  const [exit] = await Promise.all([process.exited, ...outputs]);
  return exit;
}

/** A reader that is gone (`| head`) ends the command as SIGPIPE would have. */
async function deliver(from: Readable, to: Writable, process: GuestProcess): Promise<void> {
  try {
    await pipeline(from, to, { end: false });
  } catch (error) {
    if (errnoOf(error) !== 'EPIPE') throw error;
    process.kill('SIGPIPE');
    from.resume();
  }
}
