/** A command in a fresh VM from what a user asks for: the image is found or pulled, and its defaults apply. */
import { Readable, Writable } from 'node:stream';
import type { EnvironmentStore } from '../environments/index.js';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { type EgressPolicy, parseHostPattern } from '../network/index.js';
import type { AcceleratorWish } from '../vmm/index.js';
import { chooseAccelerator } from './accelerator.js';
import type { SandboxOperationOptions } from './create-sandbox.js';
import { resolveGuestCommand } from './guest-command.js';
import { type RunOutcome, runOnce } from './run-once.js';
import { assertSecrets, type Secret } from './secrets/secret.js';

export interface OneShotSpec {
  /** Name of an environment, or a reference to an image. */
  readonly image: string;
  /** Default: what the image runs. */
  readonly command?: readonly string[] | undefined;
  /** Added to the image's; the same name replaces. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  /** Absent: it reads from /dev/null. */
  readonly stdin?: Uint8Array | undefined;
  /** Ends the command after so many ms, exit code 124. 0 or absent: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Default 1. */
  readonly cpus?: number | undefined;
  /** Default 512. */
  readonly memoryMib?: number | undefined;
  readonly diskBytes?: number | undefined;
  /** Most processes at once; default: no limit. */
  readonly pidsLimit?: number | undefined;
  readonly accelerator?: AcceleratorWish | undefined;
  readonly platform?: string | undefined;
  readonly offline?: boolean | undefined;
  /** Variables of the command, and files of its guest; told nobody. */
  readonly secrets?: readonly Secret[] | undefined;
  /**
   * What it may reach by HTTP and HTTPS: nothing, these hosts, or any public host; or everything, unfiltered, by a
   * network device. Default `none`.
   */
  readonly network?: 'none' | 'public' | 'full' | readonly string[] | undefined;
}

export interface OneShotOptions extends SandboxOperationOptions {
  /** Is given the output while it comes, and holds the command back until it resolves. */
  readonly onOutput: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void | Promise<void>;
}

export interface OneShotOutcome extends RunOutcome {
  readonly environment: string;
  readonly accelerator: 'kvm' | 'tcg';
}

const DEFAULT_MEMORY_MIB = 512;

/** @throws {HearthError} what pulling, `resolveGuestCommand` and `runOnce` throw. Rejects with `signal.reason`. */
export async function runOneShot(
  spec: OneShotSpec,
  context: { readonly paths: HearthPaths; readonly environments: EnvironmentStore },
  { signal, onProgress, onOutput }: OneShotOptions,
): Promise<OneShotOutcome> {
  const { paths } = context;
  const passed = signal === undefined ? {} : { signal };
  const egress = egressOf(spec.network ?? 'none');
  const { secrets = [] } = spec;
  assertSecrets(secrets);
  const environment = await context.environments.ensureInstalled(spec.image, {
    ...passed,
    onProgress: ({ phase, environment: name, message, doneBytes, totalBytes }) =>
      onProgress?.({ phase, environment: name, message, doneBytes, totalBytes }),
    ...(spec.platform === undefined ? {} : { platform: spec.platform }),
    ...(spec.offline === undefined ? {} : { offline: spec.offline }),
  });
  const command = resolveGuestCommand(environment.imageConfig, {
    command: spec.command ?? [],
    env: new Map(Object.entries(spec.env ?? {})),
    ...(spec.workdir === undefined ? {} : { workdir: spec.workdir }),
    ...(spec.user === undefined ? {} : { user: spec.user }),
  });
  const { accelerator } = await chooseAccelerator(spec.accelerator ?? 'auto', environment, {
    paths,
    ...passed,
  });
  const outcome = await runOnce(
    {
      environment,
      command,
      cpus: spec.cpus ?? 1,
      memoryMib: spec.memoryMib ?? DEFAULT_MEMORY_MIB,
      accelerator,
      ...(spec.diskBytes === undefined ? {} : { diskBytes: spec.diskBytes }),
      ...(spec.timeoutMs === undefined ? {} : { timeoutMs: spec.timeoutMs }),
      ...(spec.pidsLimit === undefined ? {} : { pidsLimit: spec.pidsLimit }),
      ...(egress === undefined ? {} : { egress }),
      ...(spec.network === 'full' ? { networkDevice: true } : {}),
      ...(secrets.length === 0 ? {} : { secrets: new Map(secrets.map(({ name, value }) => [name, value])) }),
    },
    {
      stdout: sink((bytes) => onOutput('stdout', bytes)),
      stderr: sink((bytes) => onOutput('stderr', bytes)),
      ...(spec.stdin === undefined ? {} : { stdin: Readable.from([spec.stdin]) }),
    },
    {
      paths,
      ...passed,
      onPhase: (phase) => onProgress?.({ phase, environment: environment.name }),
    },
  );
  return { ...outcome, environment: environment.name, accelerator };
}

function egressOf(network: NonNullable<OneShotSpec['network']>): EgressPolicy | undefined {
  if (network === 'none' || network === 'full') return undefined;
  if (network === 'public') return { mode: 'public', hosts: [] };
  if (network.length === 0) {
    throw new HearthError('USAGE_INVALID', 'no host to reach is named', {
      hint: "Name hosts, for example network: ['example.org'], or leave `network` out for none.",
    });
  }
  for (const host of network) parseHostPattern(host);
  return { mode: 'allow-list', hosts: network };
}

function sink(take: (bytes: Uint8Array) => void | Promise<void>): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      Promise.resolve(take(chunk)).then(
        () => done(),
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
      );
    },
  });
}
