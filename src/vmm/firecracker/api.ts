/**
 * The part of Firecracker's API that hearth uses: JSON over HTTP on a unix socket.
 *
 * Source: Firecracker 1.17, src/firecracker/swagger/firecracker.yaml. Names and units are Firecracker's.
 */
import { type IncomingMessage, request } from 'node:http';
import { errnoOf, HearthError } from '../../errors/index.js';

export interface MachineConfiguration {
  /** 1..32 */
  readonly vcpu_count: number;
  readonly mem_size_mib: number;
  readonly smt?: boolean;
  readonly track_dirty_pages?: boolean;
}

export interface BootSource {
  readonly kernel_image_path: string;
  readonly initrd_path?: string;
  readonly boot_args?: string;
}

export interface Drive {
  readonly drive_id: string;
  readonly path_on_host: string;
  readonly is_root_device: boolean;
  readonly is_read_only: boolean;
  /** `Unsafe`: a flush of the guest stays in the host's page cache. */
  readonly cache_type: 'Unsafe' | 'Writeback';
}

export interface Vsock {
  /** 3..2^32-1 */
  readonly guest_cid: number;
  /** Relative to Firecracker's working directory, or absolute. */
  readonly uds_path: string;
}

interface SnapshotCreateParams {
  readonly snapshot_type: 'Full';
  readonly snapshot_path: string;
  readonly mem_file_path: string;
}

interface SnapshotLoadParams {
  readonly snapshot_path: string;
  readonly mem_backend: { readonly backend_type: 'File'; readonly backend_path: string };
  readonly resume_vm: boolean;
}

/** Path to body of every request that changes something. */
export interface FirecrackerPuts {
  '/machine-config': MachineConfiguration;
  '/boot-source': BootSource;
  '/vsock': Vsock;
  '/entropy': Record<string, never>;
  '/actions': { readonly action_type: 'InstanceStart' | 'SendCtrlAltDel' | 'FlushMetrics' };
  '/snapshot/create': SnapshotCreateParams;
  '/snapshot/load': SnapshotLoadParams;
}

export interface CallOptions {
  /** Default 10 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const SHOWN_FAULT_CHARS = 500;

export class FirecrackerApi {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** The VMM's version, `1.13.1`. Before the server listens: `VMM_REQUEST_FAILED` with `details.errno`. */
  async version(options: CallOptions = {}): Promise<string> {
    const answer = await this.#call('GET', '/version', undefined, options);
    const version = typeof answer === 'object' && answer !== null ? Object.entries(answer) : [];
    const value: unknown = version.find(([name]) => name === 'firecracker_version')?.[1];
    return typeof value === 'string' ? value : '0.0.0';
  }

  async put<P extends keyof FirecrackerPuts>(
    path: P,
    body: FirecrackerPuts[P],
    options: CallOptions = {},
  ): Promise<void> {
    await this.#call('PUT', path, body, options);
  }

  async putDrive(drive: Drive, options: CallOptions = {}): Promise<void> {
    await this.#call('PUT', `/drives/${drive.drive_id}`, drive, options);
  }

  async setState(state: 'Paused' | 'Resumed', options: CallOptions = {}): Promise<void> {
    await this.#call('PATCH', '/vm', { state }, options);
  }

  /**
   * @throws {HearthError} `VMM_REQUEST_FAILED` with Firecracker's own words or the errno of the connection,
   *   `VMM_TIMEOUT`, `VMM_RESPONSE_INVALID`. Rejects with `signal.reason` when aborted.
   */
  async #call(
    method: 'GET' | 'PUT' | 'PATCH',
    path: string,
    body: unknown,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    const what = `${method} ${path}`;
    try {
      const { statusCode, text } = await this.#send(
        method,
        path,
        body,
        signal ? AbortSignal.any([signal, timeout]) : timeout,
      );
      if (statusCode >= 200 && statusCode < 300) return text === '' ? undefined : parseAnswer(text, what);
      throw refused(what, statusCode, text);
    } catch (error) {
      signal?.throwIfAborted();
      if (timeout.aborted) {
        throw new HearthError('VMM_TIMEOUT', `Firecracker did not answer ${what} within ${timeoutMs} ms`, {
          hint: 'Look at the load of this machine; then run the same command again.',
          details: { what, timeoutMs },
        });
      }
      if (HearthError.is(error)) throw error;
      const errno = errnoOf(error) ?? null;
      throw new HearthError(
        'VMM_REQUEST_FAILED',
        `Firecracker cannot be asked ${what} (${errno ?? 'broken off'})`,
        {
          details: { what, errno },
          cause: error,
        },
      );
    }
  }

  #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ statusCode: number; text: string }> {
    const payload = body === undefined ? '' : JSON.stringify(body);
    const headers = {
      accept: 'application/json',
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    };
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#socketPath, method, path, headers, signal }, (response) => {
        readBounded(response).then((text) => resolve({ statusCode: response.statusCode ?? 0, text }), reject);
      });
      call.on('error', reject);
      call.end(payload);
    });
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of response) {
    total += chunk.byteLength;
    if (total > MAX_ANSWER_BYTES) {
      throw new HearthError(
        'VMM_RESPONSE_INVALID',
        `Firecracker answered more than ${MAX_ANSWER_BYTES} bytes`,
        {
          details: { maxBytes: MAX_ANSWER_BYTES },
        },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HearthError(
      'VMM_RESPONSE_INVALID',
      `Firecracker answered ${what} with something else than JSON`,
      {
        details: { what },
        cause,
      },
    );
  }
}

function refused(what: string, statusCode: number, text: string): HearthError {
  let fault = text;
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null && 'fault_message' in answer) {
      fault = String(answer.fault_message);
    }
  } catch {
    // Not JSON: the text itself is all there is.
  }
  const description = fault.slice(0, SHOWN_FAULT_CHARS);
  return new HearthError(
    'VMM_REQUEST_FAILED',
    `Firecracker refused ${what} (${statusCode}): ${description}`,
    {
      details: { what, statusCode, description },
    },
  );
}
