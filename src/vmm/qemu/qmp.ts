/**
 * QMP, the control protocol of QEMU: one JSON object a line in both directions.
 *
 * Source: QEMU 7.2, docs/interop/qmp-spec.txt.
 * The peer is our own QEMU, but it runs an untrusted guest: every line and every wait is bounded.
 */
import type { Duplex } from 'node:stream';
import { HearthError } from '../../errors/index.js';

export interface QmpEvent {
  /** `SHUTDOWN`, `STOP`, `MIGRATION`, … */
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface QmpCallOptions {
  /** Default 10 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface Call {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_LINE_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/** One control session. Owns its stream: whatever ends the session destroys the stream. */
export class QmpClient {
  readonly #stream: Duplex;
  readonly #calls = new Map<number, Call>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #nextId = 1;
  #ended: HearthError | undefined;
  #greeted: ((version: string) => void) | undefined;
  #greetingFailed: ((reason: unknown) => void) | undefined;

  private constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('error', (error) => this.#end('its connection failed', error));
    stream.on('end', () => this.#end('it closed the connection'));
    stream.on('close', () => this.#end('it closed the connection'));
  }

  /**
   * Waits for the greeting and leaves negotiation mode.
   *
   * @returns The session and the version in the greeting, `7.2.18`.
   * @throws {HearthError} `VMM_TIMEOUT`, `VMM_REQUEST_FAILED` when the peer goes away, `VMM_RESPONSE_INVALID`.
   */
  static async open(
    stream: Duplex,
    options: QmpCallOptions = {},
  ): Promise<{ readonly client: QmpClient; readonly version: string }> {
    const client = new QmpClient(stream);
    try {
      const greeting = new Promise<string>((resolve, reject) => {
        client.#greeted = resolve;
        client.#greetingFailed = reject;
      });
      const version = await client.#bounded('the greeting', greeting, options);
      await client.execute('qmp_capabilities', {}, options);
      return { client, version };
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Runs one command and gives what it returns, unchecked.
   *
   * @throws {HearthError} `VMM_REQUEST_FAILED` with QEMU's own words, also when the session has ended;
   *   `VMM_TIMEOUT`. Rejects with `signal.reason` when aborted; the command may still be carried out.
   */
  async execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: QmpCallOptions = {},
  ): Promise<unknown> {
    options.signal?.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#calls.set(id, { command, resolve, reject });
    });
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return await this.#bounded(command, answer, options);
    } finally {
      this.#calls.delete(id);
    }
  }

  /** Calls `listener` for every event from now on; the result stops that. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits for the first event that `accept` takes, from the moment of this call on.
   *
   * @throws {HearthError} As {@link QmpClient.execute}.
   */
  async waitEvent(
    what: string,
    accept: (event: QmpEvent) => boolean,
    options: QmpCallOptions = {},
  ): Promise<QmpEvent> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId;
    this.#nextId += 1;
    let stop: (() => void) | undefined;
    const found = new Promise<QmpEvent>((resolve, reject) => {
      stop = this.onEvent((event) => {
        if (accept(event)) resolve(event);
      });
      // Among the calls, so that the end of the session ends the wait too.
      this.#calls.set(id, { command: what, resolve: () => undefined, reject });
    });
    try {
      return await this.#bounded(what, found, options);
    } finally {
      stop?.();
      this.#calls.delete(id);
    }
  }

  /** Ends the session; calls under way fail. Idempotent. */
  close(): void {
    this.#end('the session was closed');
  }

  async #bounded<T>(what: string, answer: Promise<T>, options: QmpCallOptions): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new HearthError('VMM_TIMEOUT', `QEMU did not answer ${what} within ${timeoutMs} ms`, {
            hint: 'Look at the load of this machine; then run the same command again.',
            details: { what, timeoutMs },
          }),
        );
      }, timeoutMs);
      onAbort = () => reject(signal?.reason);
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([answer, limit]);
    } finally {
      clearTimeout(timer);
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    while (this.#ended === undefined) {
      const end = rest.indexOf(LINE_FEED);
      const part = end === -1 ? rest : rest.subarray(0, end);
      this.#pendingBytes += part.byteLength;
      if (this.#pendingBytes > MAX_LINE_BYTES) {
        this.#end(`it sent a line of more than ${MAX_LINE_BYTES} bytes`, undefined, 'VMM_RESPONSE_INVALID');
        return;
      }
      this.#pending.push(part);
      if (end === -1) return;
      const line = Buffer.concat(this.#pending).toString('utf8').trim();
      this.#pending = [];
      this.#pendingBytes = 0;
      if (line !== '') this.#dispatch(line);
      rest = rest.subarray(end + 1);
    }
  }

  #dispatch(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch (error) {
      this.#end('it sent a line that is not JSON', error, 'VMM_RESPONSE_INVALID');
      return;
    }
    if (!isObject(message)) {
      this.#end('it sent something else than an object', undefined, 'VMM_RESPONSE_INVALID');
    } else if (typeof message.event === 'string') {
      const event = { name: message.event, data: isObject(message.data) ? message.data : {} };
      for (const listener of this.#listeners) listener(event);
    } else if (isObject(message.QMP)) {
      this.#greeted?.(readVersion(message.QMP));
    } else if (typeof message.id === 'number') {
      this.#answer(message.id, message);
    }
  }

  #answer(id: number, message: Readonly<Record<string, unknown>>): void {
    const call = this.#calls.get(id);
    // An answer to a call that timed out or was aborted, or that nobody made.
    if (call === undefined) return;
    if (!isObject(message.error)) {
      call.resolve(message.return);
      return;
    }
    const { class: errorClass, desc } = message.error;
    call.reject(
      new HearthError('VMM_REQUEST_FAILED', `QEMU refused ${call.command}: ${String(desc)}`, {
        details: { command: call.command, class: String(errorClass), description: String(desc) },
      }),
    );
  }

  #end(
    why: string,
    cause?: unknown,
    code: 'VMM_REQUEST_FAILED' | 'VMM_RESPONSE_INVALID' = 'VMM_REQUEST_FAILED',
  ): void {
    if (this.#ended !== undefined) return;
    const error = new HearthError(code, `the control session with QEMU ended: ${why}`, {
      details: { why },
      ...(cause === undefined ? {} : { cause }),
    });
    this.#ended = error;
    this.#pending = [];
    this.#greetingFailed?.(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    this.#stream.destroy();
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readVersion(greeting: Readonly<Record<string, unknown>>): string {
  const version = isObject(greeting.version) ? greeting.version.qemu : undefined;
  if (!isObject(version)) return '0.0.0';
  return [version.major, version.minor, version.micro].map((part) => Number(part) || 0).join('.');
}
