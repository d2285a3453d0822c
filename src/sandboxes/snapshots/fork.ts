/** Copies of a sandbox, from what was saved of it once. */
import { HearthError } from '../../errors/index.js';
import type { SandboxOperationOptions } from '../create-sandbox.js';
import type { Sandbox } from '../sandbox.js';
import { assertSandboxName } from '../sandbox-name.js';
import { type SandboxInfo, type SandboxRecord, sandboxInfo } from '../sandbox-record.js';
import type { SandboxStore } from '../sandbox-store.js';
import type { FindStartSource } from '../start-source.js';
import { copyBaseline } from '../workspace/copy-baseline.js';
import { seedAgain } from '../workspace/workspace-record.js';
import { DISK_FILE, MEMORY_FILE, STATE_FILE } from './capture.js';
import { copyDisk } from './own-disk.js';

export interface ForkOptions extends SandboxOperationOptions {
  /** 1..64, default 1. */
  readonly count?: number | undefined;
  /** Of the copy; of several, its beginning: `NAME-1`, `NAME-2`. Default: the source's name and a number. */
  readonly name?: string | undefined;
  /** Name of the snapshot to go on from. Default: the sandbox as it is now. */
  readonly snapshot?: string | undefined;
  /** Lets the commands of the source go on in the copies, too. Default: they are ended there. */
  readonly keepCommands?: boolean | undefined;
}

export interface ForkOutcome {
  readonly sandboxes: readonly SandboxInfo[];
  /** How long the commands of the source stood still. */
  readonly pauseMs: number;
}

export interface ForkFrom {
  /** Has `disk`, and with memory `memory` and `state`. */
  readonly directory: string;
  /** The source as it was when it was saved. */
  readonly record: SandboxRecord;
  readonly withMemory: boolean;
  readonly pauseMs: number;
}

export interface ForkContext {
  readonly sandboxes: SandboxStore;
  readonly add: (record: SandboxRecord) => Sandbox;
  readonly remove: (sandbox: Sandbox) => Promise<unknown>;
  readonly takenNames: () => ReadonlySet<string>;
}

/** @throws {HearthError} and leaves no copy, when one of them cannot be made or started. */
export async function forkSandbox(
  from: ForkFrom,
  context: ForkContext,
  { count = 1, name, keepCommands = false, signal, onProgress }: ForkOptions,
): Promise<ForkOutcome> {
  const given = signal === undefined ? {} : { signal };
  const { directory, record, withMemory, pauseMs } = from;
  const findSource: FindStartSource = async ({ disk }) => ({
    memoryPath: `${directory}/${MEMORY_FILE}`,
    statePath: `${directory}/${STATE_FILE}`,
    disk,
    commands: keepCommands ? 'go on' : 'end',
    isOwn: false,
  });
  const children: Sandbox[] = [];
  try {
    onProgress?.({ phase: 'clone', environment: record.environment.name });
    const { format, sizeBytes, growPending } = record.disk;
    const template = { path: `${directory}/${DISK_FILE}`, format, sizeBytes, growPending };
    for (const childName of namesOf(record.name, name, count, context.takenNames())) {
      const child = await context.sandboxes.create(async (into, id) => {
        const disk = await copyDisk(template, into, given);
        if (record.workspace !== null) await copyBaseline(context.sandboxes.directory(record.id), into);
        assertFree(childName, context);
        return childOf(record, { id, name: childName, disk });
      });
      children.push(context.add(child));
    }
    if (withMemory) {
      const started = await Promise.allSettled(
        children.map((child) => child.start({ ...given, onProgress: onProgress ?? (() => {}), findSource })),
      );
      const failed = started.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  } catch (error) {
    await Promise.allSettled(children.map((child) => context.remove(child)));
    throw error;
  }
  return { sandboxes: children.map((child) => sandboxInfo(child.record)), pauseMs };
}

/** What a copy has of its source, and what not. */
function childOf(source: SandboxRecord, own: Pick<SandboxRecord, 'id' | 'name' | 'disk'>): SandboxRecord {
  return {
    ...source,
    ...own,
    createdAt: new Date().toISOString(),
    startedAt: null,
    stoppedAt: null,
    state: source.pristine ? 'created' : 'stopped',
    stopReason: null,
    failure: null,
    startKind: null,
    // A port of the host has one holder.
    ports: source.ports.map((port) => ({ ...port, hostPort: 0, published: null })),
    // Whoever wants one to have a secret gives it one.
    secrets: [],
    // Nothing has run on the disk, whatever the source has done since.
    workspace: source.pristine ? seedAgain(source.workspace) : source.workspace,
    vmm: null,
  };
}

function namesOf(
  source: string,
  name: string | undefined,
  count: number,
  taken: ReadonlySet<string>,
): readonly string[] {
  if (name !== undefined) {
    const names = count === 1 ? [name] : Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
    for (const each of names) assertSandboxName(each);
    return names;
  }
  const names: string[] = [];
  for (let number = 1; names.length < count; number += 1) {
    const candidate = `${source}-${number}`;
    if (!taken.has(candidate)) names.push(candidate);
  }
  for (const each of names) assertSandboxName(each);
  return names;
}

function assertFree(name: string, { takenNames }: ForkContext): void {
  if (!takenNames().has(name)) return;
  throw new HearthError('SANDBOX_EXISTS', `there is a sandbox ${name} already`, {
    hint: `Choose another --name, or remove it: hearth rm ${name}`,
    details: { name },
  });
}
