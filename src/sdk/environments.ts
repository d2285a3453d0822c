/** What sandboxes are made from. */
import { resolve } from 'node:path';
import type { OperationInput, OperationOutput, OperationProgress, Service } from '../contract/index.js';

/** Of `onProgress`: phases of pulling, making and booting, with bytes where they are known. */
export type Progress = OperationProgress;

export interface ProgressOptions {
  /** Aborting ends the work, leaves nothing half made, and rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export type EnvironmentSummary = OperationOutput<'environment.list'>['environments'][number];
export type EnvironmentInfo = OperationOutput<'environment.pull'>['environment'];
export type EnvironmentInspection = OperationOutput<'environment.inspect'>;
export type VerifiedEnvironment = OperationOutput<'environment.verify'>['environments'][number];
export type PrunedEnvironments = OperationOutput<'environment.prune'>;
export type RemovedEnvironment = OperationOutput<'environment.remove'>;
export type PullOptions = Omit<OperationInput<'environment.pull'>, 'environment'> & ProgressOptions;
export type RegisterOptions = Omit<OperationInput<'environment.register'>, 'name'> & ProgressOptions;

export class Environments {
  readonly #service: Service;

  /** @internal */
  constructor(service: Service) {
    this.#service = service;
  }

  /** Every environment of the catalog, and everything else that is installed. */
  async list(): Promise<EnvironmentSummary[]> {
    return (await this.#service.call('environment.list', {})).environments;
  }

  /**
   * Makes an environment of the catalog, or any image, bootable. Repairs what is broken.
   *
   * @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_IN_USE`, what registries and sources throw.
   */
  async pull(nameOrReference: string, options: PullOptions = {}): Promise<EnvironmentInfo> {
    const { signal, onProgress, ...wishes } = options;
    const input = { environment: nameOrReference, ...wishes };
    return (await this.#service.call('environment.pull', input, callOptions(options))).environment;
  }

  /** @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, with near names in the hint. */
  async inspect(nameOrReference: string): Promise<EnvironmentInspection> {
    return await this.#service.call('environment.inspect', { environment: nameOrReference });
  }

  /** Hashes everything, and compares. Damage is a result, not an error. @param names Default: all installed. */
  async verify(names?: readonly string[], options: ProgressOptions = {}): Promise<VerifiedEnvironment[]> {
    const input = names === undefined ? {} : { environments: names };
    return (await this.#service.call('environment.verify', input, callOptions(options))).environments;
  }

  /** Removes partial, damaged and outdated environments; never a valid one. */
  async prune(options: { readonly dryRun?: boolean } & ProgressOptions = {}): Promise<PrunedEnvironments> {
    const { dryRun = false } = options;
    return await this.#service.call('environment.prune', { dryRun }, callOptions(options));
  }

  /** @throws {HearthError} `ENVIRONMENT_NOT_FOUND`; `ENVIRONMENT_IN_USE` without `force`. */
  async remove(
    name: string,
    options: { readonly force?: boolean } & ProgressOptions = {},
  ): Promise<RemovedEnvironment> {
    const { force = false } = options;
    return await this.#service.call('environment.remove', { environment: name, force }, callOptions(options));
  }

  /** Makes an ext4 image and a kernel of yours an environment. Relative paths are from the working directory. */
  async register(name: string, options: RegisterOptions): Promise<EnvironmentInfo> {
    const { signal, onProgress, rootfsPath, kernelPath, initrdPath, modulesDirectory, ...wishes } = options;
    const input = {
      name,
      ...wishes,
      rootfsPath: resolve(rootfsPath),
      ...(kernelPath === undefined ? {} : { kernelPath: resolve(kernelPath) }),
      ...(initrdPath === undefined ? {} : { initrdPath: resolve(initrdPath) }),
      ...(modulesDirectory === undefined ? {} : { modulesDirectory: resolve(modulesDirectory) }),
    };
    return (await this.#service.call('environment.register', input, callOptions(options))).environment;
  }
}

/** @internal Without what was not given. */
export function callOptions({ signal, onProgress }: ProgressOptions): {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
} {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
}
