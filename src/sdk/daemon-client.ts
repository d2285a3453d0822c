/** The operations carried out by the daemon. */
import type { z } from 'zod';
import type { GuestProcess } from '../agent/index.js';
import {
  DOWNLOAD_OPERATIONS,
  type Download,
  type DownloadHead,
  type DownloadInput,
  type DownloadName,
  OPERATIONS,
  type OperationInput,
  type OperationName,
  type OperationOutput,
  type OperationProgress,
  type ProcessInput,
  type ProcessOperationName,
  type Service,
  type ServiceCallOptions,
  UPLOAD_OPERATIONS,
  type UploadInput,
  type UploadName,
  type UploadOutput,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { httpCall } from './http-call.js';
import { httpDownload, httpUpload } from './http-stream.js';
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
      return understood(name, OPERATIONS[name].output, result) as OperationOutput<N>;
    },
    async process<N extends ProcessOperationName>(
      name: N,
      input: ProcessInput<N>,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<GuestProcess> {
      const wantsStdin = input.stdin === true || ('terminal' in input && input.terminal !== undefined);
      return await openRemoteProcess({ socketPath, version, operation: name, input, wantsStdin, signal });
    },
    async download<N extends DownloadName>(
      name: N,
      input: DownloadInput<N>,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<Download<DownloadHead<N>>> {
      const { head, content } = await httpDownload({ socketPath, version, operation: name, input, signal });
      return { head: understood(name, DOWNLOAD_OPERATIONS[name].head, head) as DownloadHead<N>, content };
    },
    async upload<N extends UploadName>(
      name: N,
      input: UploadInput<N>,
      content: AsyncIterable<Uint8Array>,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<UploadOutput<N>> {
      const result = await httpUpload({ socketPath, version, operation: name, input, signal }, content);
      return understood(name, UPLOAD_OPERATIONS[name].output, result) as UploadOutput<N>;
    },
  };
}

function understood<T extends z.ZodType>(operation: string, schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new HearthError('DAEMON_PROTOCOL_INVALID', `${operation}: the daemon's answer is not understood`, {
    hint: 'Check that client and daemon are the same version of hearth: `hearth serve --stop` ends the daemon.',
    details: { operation, fields: parsed.error.issues.slice(0, 5).map(({ path }) => path.join('.')) },
  });
}
