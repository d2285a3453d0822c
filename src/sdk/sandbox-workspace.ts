/** The `/workspace` of a sandbox that was created with `workspace`. */
import { resolve } from 'node:path';
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';
import { callOptions, type ProgressOptions } from './environments.js';

type Wishes<N extends 'workspace.diff' | 'workspace.push' | 'patch.apply'> = Omit<
  OperationInput<N>,
  'sandbox' | 'source' | 'patch'
>;

export type WorkspaceDiff = OperationOutput<'workspace.diff'>;
export type WorkspaceInfo = OperationOutput<'workspace.reset'>['workspace'];
export type PushedFiles = OperationOutput<'workspace.push'>;
export type AppliedPatch = OperationOutput<'patch.apply'>;
export type DiffOptions = Wishes<'workspace.diff'> & ProgressOptions;
export type PushOptions = Wishes<'workspace.push'> & ProgressOptions;
export type ApplyPatchOptions = Wishes<'patch.apply'> & ProgressOptions;

/** Each call throws `WORKSPACE_MISSING` for a sandbox without one. */
export class SandboxWorkspace {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /** What changed since it was seeded, as a patch for `git apply`. */
  async diff(options: DiffOptions = {}): Promise<WorkspaceDiff> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, sandbox: this.#sandbox };
    return await this.#service.call('workspace.diff', input, callOptions(options));
  }

  /** Applies a unified diff, all of it or nothing. @throws {HearthError} `PATCH_CONFLICT`, `PATCH_INVALID`. */
  async applyPatch(patch: string, options: ApplyPatchOptions = {}): Promise<AppliedPatch> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, sandbox: this.#sandbox, patch };
    return await this.#service.call('patch.apply', input, callOptions(options));
  }

  /** Puts a directory or tar archive of this host beside what is there; what `diff` compares with stays. */
  async push(source: string, options: PushOptions = {}): Promise<PushedFiles> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, sandbox: this.#sandbox, source: resolve(source) };
    return await this.#service.call('workspace.push', input, callOptions(options));
  }

  /** Makes it what it was when it was seeded. */
  async reset(options: ProgressOptions = {}): Promise<WorkspaceInfo> {
    const input = { sandbox: this.#sandbox };
    return (await this.#service.call('workspace.reset', input, callOptions(options))).workspace;
  }
}
