/** What the tools stand on: the user's daemon, environments, and commands in VMs of their own. */
import type { Writable } from 'node:stream';
import type { ExecExit } from '../agent/index.js';
import type { Service } from '../contract/index.js';
import type { EnvironmentStore } from '../environments/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { connectDaemon } from '../sdk/index.js';
import type { NetworkPin } from './view.js';

export interface OneShotSpec {
  readonly image: string | undefined;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string | undefined;
  readonly user: string | undefined;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskBytes: number | undefined;
  readonly timeoutMs: number;
  readonly network: NetworkPin;
}

export interface OneShotResult extends ExecExit {
  readonly environment: string;
  readonly accelerator: 'kvm' | 'tcg';
}

export interface OneShotOptions {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly signal: AbortSignal;
  readonly onProgress: (event: {
    readonly phase: string;
    readonly environment: string;
    readonly doneBytes?: number | undefined;
    readonly totalBytes?: number | undefined;
  }) => void;
}

export interface Backend {
  /** The daemon's operations; the daemon is started when there is none. */
  service(signal: AbortSignal): Promise<Service>;
  environments(): Promise<Pick<EnvironmentStore, 'list' | 'ensureInstalled'>>;
  /** Runs a command in a fresh VM; nothing of it is left. */
  runOnce(spec: OneShotSpec, options: OneShotOptions): Promise<OneShotResult>;
}

export interface BackendOptions {
  readonly paths: HearthPaths;
  /** Of this program. */
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function createBackend({ paths, version, env }: BackendOptions): Backend {
  const environments = async (): Promise<EnvironmentStore> => {
    // Loaded when the first tool needs it: a client waits for the list of tools, not for this.
    const [{ loadConfig }, { openEnvironmentStore }, { guestAgentPath, sandboxesUsing }] = await Promise.all([
      import('../config/index.js'),
      import('../environments/index.js'),
      import('../sandboxes/index.js'),
    ]);
    const { registry } = await loadConfig(paths);
    return await openEnvironmentStore({
      paths,
      env,
      registry: { env, ...registry },
      agentPath: guestAgentPath(),
      isInUse: (directory) => sandboxesUsing(paths, directory),
    });
  };
  return {
    service: (signal) => connectDaemon({ paths, version, env, signal }),
    environments,
    async runOnce(spec, { stdout, stderr, signal, onProgress }) {
      const { chooseAccelerator, egressPolicyFor, resolveGuestCommand, runOnce } = await import(
        '../sandboxes/index.js'
      );
      const store = await environments();
      const environment = await store.ensureInstalled(spec.image, { signal, onProgress });
      const command = resolveGuestCommand(environment.imageConfig, {
        command: spec.argv,
        // The tool's words are the whole command, whatever the image would have run.
        entrypoint: '',
        env: new Map(Object.entries(spec.env)),
        ...(spec.workdir === undefined ? {} : { workdir: spec.workdir }),
        ...(spec.user === undefined ? {} : { user: spec.user }),
      });
      const { accelerator } = await chooseAccelerator('auto', environment, { paths, signal });
      const { cpus, memoryMib, diskBytes, timeoutMs, network } = spec;
      const egress = await egressPolicyFor(network);
      const outcome = await runOnce(
        {
          environment,
          command,
          cpus,
          memoryMib,
          accelerator,
          timeoutMs,
          ...(diskBytes === undefined ? {} : { diskBytes }),
          ...(egress === undefined ? {} : { egress }),
        },
        { stdout, stderr },
        { paths, signal, onPhase: (phase) => onProgress({ phase, environment: environment.name }) },
      );
      return { ...outcome, environment: environment.name, accelerator };
    },
  };
}
