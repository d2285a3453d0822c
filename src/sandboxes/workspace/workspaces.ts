/** What can be asked of the workspaces of sandboxes that run. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import type { Sandbox } from '../sandbox.js';
import { applyPatch, type PatchedFile } from './apply-patch.js';
import { Baseline } from './baseline.js';
import { createBaseline, type SeedOrigin } from './create-baseline.js';
import { type DiffOptions, diffWorkspace, type WorkspaceDiff } from './diff-workspace.js';
import { putEntries, restoreBaseline } from './fill-guest.js';
import { type GuestPlace, resolveOwner } from './guest-place.js';
import type { LeftOut } from './read-directory.js';
import { WORKSPACE_PATH, type WorkspaceRecord } from './workspace-record.js';

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PushSpec {
  /** Absolute path of a directory or tar archive of this host. */
  readonly source: string;
  /** Of a directory in a Git repository, also what Git does not track. */
  readonly all?: boolean | undefined;
  /** Directory in the workspace, relative to it; default the workspace itself. */
  readonly to?: string | undefined;
}

export interface PushResult {
  readonly origin: SeedOrigin;
  readonly leftOut: LeftOut;
  readonly entryCount: number;
  readonly sizeBytes: number;
}

const PUSH_DIRECTORY = 'push';

export class Workspaces {
  readonly #find: (reference: string) => Sandbox;
  /** One change of a workspace at a time. */
  readonly #turns = new WeakMap<Sandbox, Promise<unknown>>();

  constructor(find: (reference: string) => Sandbox) {
    this.#find = find;
  }

  /**
   * How the workspace differs from its baseline.
   *
   * @param options.paths Relative to the workspace, or below `/workspace`.
   * @throws {HearthError} `WORKSPACE_MISSING`, `SANDBOX_NOT_RUNNING`, `ENTRIES_TOO_MANY`, those of the agent.
   */
  async diff(reference: string, options: DiffOptions = {}): Promise<WorkspaceDiff> {
    const sandbox = this.#find(reference);
    workspaceOf(sandbox);
    const place = await placeOf(sandbox, options);
    await using baseline = await Baseline.open(sandbox.directory);
    const paths = options.paths?.map((path) => relativePath(path));
    return await diffWorkspace(place, baseline, { ...options, paths });
  }

  /** Applies a unified patch, wholly or not at all. See `applyPatch`. */
  async applyPatch(
    reference: string,
    patch: string,
    options: CallOptions & { readonly check?: boolean | undefined } = {},
  ): Promise<PatchedFile[]> {
    const sandbox = this.#find(reference);
    workspaceOf(sandbox);
    return await this.#inTurn(sandbox, async () =>
      applyPatch(await placeOf(sandbox, options), Buffer.from(patch), options),
    );
  }

  /** Makes the workspace what its baseline says, and nothing else. Interrupted, the next start does it. */
  async reset(reference: string, options: CallOptions = {}): Promise<WorkspaceRecord> {
    const sandbox = this.#find(reference);
    return await this.#inTurn(sandbox, async () => {
      const workspace = workspaceOf(sandbox);
      const place = await placeOf(sandbox, options);
      await using baseline = await Baseline.open(sandbox.directory);
      await sandbox.change({ workspace: { ...workspace, seedPending: true } });
      await restoreBaseline(place, baseline, passed(options));
      const done = { ...workspace, seedPending: false };
      await sandbox.change({ workspace: done });
      return done;
    });
  }

  /** Puts more files into the workspace; the baseline stays. What is to be pushed is read before anything is. */
  async push(
    reference: string,
    { source, all, to = '' }: PushSpec,
    options: CallOptions = {},
  ): Promise<PushResult> {
    const sandbox = this.#find(reference);
    workspaceOf(sandbox);
    const below = relativePath(to);
    return await this.#inTurn(sandbox, async () => {
      const place = await placeOf(sandbox, options);
      const directory = join(sandbox.directory, PUSH_DIRECTORY);
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { mode: 0o700 });
      try {
        const { signal } = options;
        const { origin, leftOut, entryCount, sizeBytes } = await createBaseline(
          directory,
          { seedPath: source, all },
          { signal },
        );
        await using content = await Baseline.open(directory);
        await putEntries(place, content, below, passed(options));
        return { origin, leftOut, entryCount, sizeBytes };
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });
  }

  async #inTurn<T>(sandbox: Sandbox, body: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(sandbox) ?? Promise.resolve();
    const turn = before.then(body, body);
    this.#turns.set(
      sandbox,
      turn.catch(() => {}),
    );
    return await turn;
  }
}

function passed({ signal }: CallOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function placeOf(sandbox: Sandbox, options: CallOptions): Promise<GuestPlace> {
  const { files } = await sandbox.agent(passed(options));
  return { files, root: WORKSPACE_PATH, owner: await resolveOwner(files, sandbox.record.defaults.user) };
}

function workspaceOf({ record }: Sandbox): WorkspaceRecord {
  if (record.workspace !== null) return record.workspace;
  throw new HearthError('WORKSPACE_MISSING', `the sandbox ${record.name} was created without a workspace`, {
    hint: 'Create one with `hearth create --seed-path DIR IMAGE`, or `--workspace` for an empty one.',
    details: { id: record.id, name: record.name },
  });
}

/**
 * A path of a user, made relative to the workspace; latin1.
 *
 * @throws {HearthError} `PATH_ESCAPES_ROOT`.
 */
function relativePath(path: string): string {
  const isInside = path === WORKSPACE_PATH || path.startsWith(`${WORKSPACE_PATH}/`);
  const inner = isInside ? path.slice(WORKSPACE_PATH.length) : path;
  const parts = inner.split('/').filter((part) => part !== '' && part !== '.');
  if ((path.startsWith('/') && !isInside) || parts.includes('..') || path.includes('\0')) {
    throw new HearthError('PATH_ESCAPES_ROOT', `the path ${JSON.stringify(path)} is not in the workspace`, {
      hint: `Give a path relative to ${WORKSPACE_PATH}.`,
      details: { path, workspace: WORKSPACE_PATH },
    });
  }
  return Buffer.from(parts.join('/')).toString('latin1');
}
