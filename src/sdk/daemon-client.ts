/** The operations carried out by the daemon. */
import type { GuestProcess } from '../agent/index.js';
import {
  OPERATIONS,
  type OperationInput,
  type OperationName,
  type OperationOutput,
  type OperationProgress,
  type ProcessInput,
  type ProcessOperationName,
  type Service,
  type ServiceCallOptions,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { httpCall } from './http-call.js';
import { openRemoteProcess } from './remote-process.js';

export interface DaemonClientOptions {
  readonly socketPath: string;
  /** Of this client; a daemon of another version refuses. */
  readonly version: string;
}

export function createDaemonClient({ socketPath, version }: DaemonClientOptions): Service {
  return {
    async call<N extends OperationName>(
      name: N,
      input: OperationInput<N>,
      { signal, onProgress, onOutput }: ServiceCallOptions = {},
    ): Promise<OperationOutput<N>> {
      const result = await httpCall({
        socketPath,
        version,
        operation: name,
        input,
        signal,
        ...(onProgress === undefined
          ? {}
          : { onProgress: (progress) => onProgress(progress as OperationProgress) }),
        onOutput,
      });
      const parsed = OPERATIONS[name].output.safeParse(result);
      if (parsed.success) return parsed.data as OperationOutput<N>;
      throw new HearthError('DAEMON_PROTOCOL_INVALID', `${name}: the daemon's answer is not understood`, {
        hint: 'Check that client and daemon are the same version of hearth: `hearth serve --stop` ends the daemon.',
        details: {
          operation: name,
          fields: parsed.error.issues.slice(0, 5).map(({ path }) => path.join('.')),
        },
      });
    },
    async process<N extends ProcessOperationName>(
      name: N,
      input: ProcessInput<N>,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<GuestProcess> {
      const wantsStdin = input.stdin === true || ('terminal' in input && input.terminal !== undefined);
      return await openRemoteProcess({ socketPath, version, operation: name, input, wantsStdin, signal });
    },
  };
}
