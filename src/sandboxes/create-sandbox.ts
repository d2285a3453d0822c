/** Makes a sandbox on disk: its environment, its own disk, its record. Nothing runs yet. */
import { join } from 'node:path';
import { cloneDisk } from '../disks/index.js';
import type { Environment, EnvironmentStore } from '../environments/index.js';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { AcceleratorWish } from '../vmm/index.js';
import { chooseAccelerator } from './accelerator.js';
import { assertMemory } from './boot-sandbox.js';
import { type NetworkWishes, networkRecord } from './network/network-changes.js';
import { assertLabels, assertSandboxName, freeName } from './sandbox-name.js';
import { portRecords } from './sandbox-ports.js';
import type { SandboxRecord } from './sandbox-record.js';
import type { SandboxStore } from './sandbox-store.js';
import { assertSecrets, type Secret } from './secrets/secret.js';
import { createBaseline, seedOrigin, type WorkspaceSpec } from './workspace/create-baseline.js';
import { WORKSPACE_PATH } from './workspace/workspace-record.js';

export interface CreateSandboxSpec extends NetworkWishes {
  /** Name of an environment, or a reference to an image. */
  readonly image: string;
  /** Default: one made from the image's. */
  readonly name?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** 1..64, default 1. */
  readonly cpus?: number | undefined;
  /** Default 512. */
  readonly memoryMib?: number | undefined;
  /** At least the size of the environment's, which is the default. */
  readonly diskBytes?: number | undefined;
  /** Most processes of all its commands at once; default: no limit. */
  readonly pidsLimit?: number | undefined;
  readonly accelerator?: AcceleratorWish | undefined;
  /** Added to the image's environment for every command. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  /** `[ADDRESS:][HOST_PORT:]GUEST_PORT`. */
  readonly ports?: readonly string[] | undefined;
  /** Fill `/workspace`, which commands then start in, and remember how it began. */
  readonly workspace?: WorkspaceSpec | undefined;
  /** Given to its guest, and told nobody. */
  readonly secrets?: readonly Secret[] | undefined;
  readonly platform?: string | undefined;
  /** Never touch the network. */
  readonly offline?: boolean | undefined;
}

export interface SandboxProgress {
  /**
   * `resolve`, `download`, `convert`, `install` of an image; `clone`, `prepare`, `resume`, `boot`, `ready`, `save`,
   * `stop` of a sandbox.
   */
  readonly phase: string;
  /** Name of the environment. */
  readonly environment: string;
  readonly message?: string | undefined;
  readonly doneBytes?: number | undefined;
  readonly totalBytes?: number | undefined;
}

export interface SandboxOperationOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SandboxProgress) => void;
}

export interface CreateSandboxContext {
  readonly paths: HearthPaths;
  readonly store: SandboxStore;
  readonly environments: EnvironmentStore;
  /** The names that are given already. */
  readonly takenNames: () => ReadonlySet<string>;
}

const DEFAULT_MEMORY_MIB = 512;
const DISK_FILE = 'disk';

/**
 * @throws {HearthError} `NAME_INVALID`, `SANDBOX_EXISTS`, `USAGE_INVALID`, `HOST_PATTERN_INVALID`,
 *   `SECRET_INVALID`, `SECRETS_UNAVAILABLE`, `MEMORY_TOO_SMALL`, `ENVIRONMENT_BROKEN`, what pulling, cloning, the choice of the accelerator and
 *   `createBaseline` throw. Nothing is left then.
 */
export async function createSandbox(
  spec: CreateSandboxSpec,
  context: CreateSandboxContext,
  { signal, onProgress }: SandboxOperationOptions,
): Promise<SandboxRecord> {
  const memoryMib = spec.memoryMib ?? DEFAULT_MEMORY_MIB;
  const labels = spec.labels ?? {};
  if (spec.name !== undefined) {
    assertSandboxName(spec.name);
    assertFree(spec.name, context);
  }
  assertLabels(labels);
  const ports = portRecords(spec.ports ?? []);
  const network = networkRecord(spec);
  const secrets = spec.secrets ?? [];
  assertSecrets(secrets);
  assertMemory(memoryMib);
  assertWorkdir(spec.workdir);
  if (spec.workspace !== undefined) await seedOrigin(spec.workspace, signal);
  const passed = signal === undefined ? {} : { signal };
  const environment = await context.environments.ensureInstalled(spec.image, {
    ...passed,
    onProgress: ({ phase, environment: name, message, doneBytes, totalBytes }) =>
      onProgress?.({ phase, environment: name, message, doneBytes, totalBytes }),
    ...(spec.platform === undefined ? {} : { platform: spec.platform }),
    ...(spec.offline === undefined ? {} : { offline: spec.offline }),
  });
  const initrdPath = initrdOf(environment);
  const decision = await chooseAccelerator(spec.accelerator ?? 'auto', environment, {
    paths: context.paths,
    ...passed,
  });
  onProgress?.({ phase: 'clone', environment: environment.name });
  const { imageConfig } = environment;
  return await context.store.create(async (directory, id) => {
    const clone = await cloneDisk(environment.rootfsPath, join(directory, DISK_FILE), {
      ...passed,
      ...(spec.diskBytes === undefined ? {} : { sizeBytes: spec.diskBytes }),
    });
    const workspace =
      spec.workspace === undefined ? null : await createBaseline(directory, spec.workspace, { signal });
    // Two creations of one name may both have got here; the second finds the first one's record.
    if (spec.name !== undefined) assertFree(spec.name, context);
    if (secrets.length > 0) {
      await context.store.secrets.write(id, new Map(secrets.map(({ name, value }) => [name, value])));
    }
    return {
      schemaVersion: 1,
      id,
      name: spec.name ?? freeName(environment.name, id, context.takenNames()),
      labels: { ...labels },
      createdAt: new Date().toISOString(),
      startedAt: null,
      stoppedAt: null,
      state: 'created',
      stopReason: null,
      failure: null,
      environment: {
        name: environment.name,
        directory: environment.directory,
        kernelPath: environment.kernelPath,
        initrdPath,
        rootfsPath: environment.rootfsPath,
      },
      pristine: true,
      startKind: null,
      disk: {
        fileName: DISK_FILE,
        format: clone.format,
        sizeBytes: clone.virtualSizeBytes,
        growPending: clone.growth === 'online',
      },
      cpus: spec.cpus ?? 1,
      memoryMib,
      pidsLimit: spec.pidsLimit ?? null,
      accelerator: decision.accelerator,
      acceleratorReason: decision.reason,
      defaults: {
        env: [
          ...imageConfig.env,
          ...Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
        ],
        workdir: spec.workdir ?? (workspace === null ? imageConfig.workingDir : WORKSPACE_PATH),
        user: spec.user ?? imageConfig.user,
      },
      ttlMs: spec.ttlMs ?? null,
      idleTimeoutMs: spec.idleTimeoutMs ?? null,
      ports,
      network,
      secrets: secrets.map(({ name, source = 'value' }) => ({ name, source })),
      workspace,
      vmm: null,
    };
  });
}

function assertFree(name: string, { takenNames }: CreateSandboxContext): void {
  if (!takenNames().has(name)) return;
  throw new HearthError('SANDBOX_EXISTS', `there is a sandbox ${name} already`, {
    hint: `Choose another --name, or remove it: hearth rm ${name}`,
    details: { name },
  });
}

function assertWorkdir(workdir: string | undefined): void {
  if (workdir === undefined || workdir.startsWith('/')) return;
  throw new HearthError(
    'USAGE_INVALID',
    `the working directory ${JSON.stringify(workdir)} is not an absolute path`,
    {
      hint: 'Give an absolute path, for example --workdir /tmp.',
      details: { workdir },
    },
  );
}

function initrdOf({ name, initrdPath }: Environment): string {
  if (initrdPath !== undefined) return initrdPath;
  throw new HearthError('ENVIRONMENT_BROKEN', `the environment ${name} has no initrd for hearth's agent`, {
    hint: `Register it again with --modules, or pull it: hearth env pull ${name}`,
    details: { environment: name },
  });
}
