/** A command of a guest, through the daemon. Its other side is `daemon/process-session.ts`. */
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { Readable, Writable } from 'node:stream';
import type { ExecExit, ExecStart, GuestProcess } from '../agent/index.js';
import {
  encodeProcessFrame,
  errorFromJson,
  errorOfAnswer,
  exitOutput,
  jsonOfFrame,
  MAX_DATA_BYTES,
  PROCESS_FRAMES,
  type ProcessFrame,
  ProcessFrameDecoder,
  startedOutput,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { unreachable, VERSION_HEADER } from './http-call.js';

export interface OpenProcessOptions {
  readonly socketPath: string;
  readonly version: string;
  readonly operation: string;
  readonly input: object;
  readonly wantsStdin: boolean;
  readonly signal?: AbortSignal | undefined;
}

export const PROCESS_PROTOCOL = 'hearth-process';
const MAX_REFUSAL_BYTES = 64 * 1024;

/** @throws {HearthError} `DAEMON_UNREACHABLE` and what the daemon refuses before the command starts. */
export async function openRemoteProcess(options: OpenProcessOptions): Promise<GuestProcess> {
  options.signal?.throwIfAborted();
  const process = new RemoteProcess(await upgrade(options), options);
  return process;
}

function upgrade({ socketPath, version, operation, signal }: OpenProcessOptions): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      method: 'POST',
      path: `/v1/${operation}`,
      agent: false,
      headers: {
        host: 'hearth',
        connection: 'Upgrade',
        upgrade: PROCESS_PROTOCOL,
        [VERSION_HEADER]: version,
      },
      ...(signal === undefined ? {} : { signal }),
    });
    outgoing.once('upgrade', (_response, socket: Duplex, head: Buffer) => {
      if (head.byteLength > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < MAX_REFUSAL_BYTES) text += chunk;
      });
      response.once('end', () => reject(refusal(text)));
      response.once('error', reject);
    });
    outgoing.once('error', (error) =>
      reject(signal?.aborted ? signal.reason : unreachable(error, socketPath)),
    );
    outgoing.end();
  });
}

function refusal(text: string): HearthError {
  try {
    const error = errorOfAnswer(JSON.parse(text));
    if (error !== undefined) return error;
  } catch {
    // Told below.
  }
  return new HearthError('DAEMON_PROTOCOL_INVALID', 'the daemon refused the command without saying why');
}

class RemoteProcess implements GuestProcess {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly started: Promise<ExecStart>;
  readonly exited: Promise<ExecExit>;
  readonly #socket: Duplex;
  readonly #signal: AbortSignal | undefined;
  readonly #decoder = new ProcessFrameDecoder();
  readonly #full = new Set<Readable>();
  #creditBytes = 0;
  #pending: { rest: Buffer; done: () => void } | undefined;
  #over = false;
  #resolveStarted: (start: ExecStart) => void = () => {};
  #rejectStarted: (reason: unknown) => void = () => {};
  #resolveExited: (exit: ExecExit) => void = () => {};
  #rejectExited: (reason: unknown) => void = () => {};

  constructor(socket: Duplex, options: OpenProcessOptions) {
    this.#socket = socket;
    this.#signal = options.signal;
    this.stdout = this.#makeOutput();
    this.stderr = this.#makeOutput();
    this.stdin = options.wantsStdin ? this.#makeStdin() : undefined;
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve;
      this.#rejectStarted = reject;
    });
    this.exited = new Promise((resolve, reject) => {
      this.#resolveExited = resolve;
      this.#rejectExited = reject;
    });
    this.started.catch(() => {});
    this.exited.catch(() => {});
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(unreachable(error, options.socketPath)));
    socket.on('close', () => this.#fail(lost(options.socketPath)));
    if (this.#signal?.aborted === true) this.#onAbort();
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#send(PROCESS_FRAMES.input, JSON.stringify(options.input));
  }

  kill(signal: NodeJS.Signals | number = 'SIGTERM', target: 'group' | 'process' | 'all' = 'group'): void {
    this.#send(PROCESS_FRAMES.signal, JSON.stringify({ signal: String(signal), target }));
  }

  resize({ rows, columns }: { readonly rows: number; readonly columns: number }): void {
    this.#send(PROCESS_FRAMES.resize, JSON.stringify({ rows, columns }));
  }

  abandon(reason: unknown): void {
    this.#send(PROCESS_FRAMES.detach, Buffer.alloc(0));
    this.#fail(reason);
  }

  readonly #onAbort = (): void => this.#fail(this.#signal?.reason);

  #send(type: number, payload: Uint8Array | string): void {
    if (!this.#over) this.#socket.write(encodeProcessFrame(type, payload));
  }

  /** An output holds the socket back from when it is full until its reader asks for more. */
  #makeOutput(): Readable {
    const output = new Readable({
      read: () => {
        this.#full.delete(output);
        if (this.#full.size === 0) this.#socket.resume();
      },
    });
    output.on('error', () => {});
    return output;
  }

  #deliver(output: Readable, bytes: Buffer): void {
    if (!output.push(bytes)) this.#full.add(output);
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.#over && this.#full.size > 0) this.#socket.pause();
  }

  #take(frame: ProcessFrame): void {
    switch (frame.type) {
      case PROCESS_FRAMES.stdout:
        this.#deliver(this.stdout, frame.payload);
        return;
      case PROCESS_FRAMES.stderr:
        this.#deliver(this.stderr, frame.payload);
        return;
      case PROCESS_FRAMES.credit:
        this.#creditBytes += frame.payload.readUInt32BE(0);
        this.#pump();
        return;
      case PROCESS_FRAMES.started:
        this.#resolveStarted(startedOutput.parse(jsonOfFrame(frame)));
        return;
      case PROCESS_FRAMES.exit:
        this.#finish(exitOf(jsonOfFrame(frame)));
        return;
      case PROCESS_FRAMES.error: {
        const error = errorOfAnswer(jsonOfFrame(frame));
        throw error ?? new HearthError('DAEMON_PROTOCOL_INVALID', 'an error without its parts');
      }
      default:
        throw new HearthError('DAEMON_PROTOCOL_INVALID', `a frame of type ${frame.type}`);
    }
  }

  #finish(exit: ExecExit): void {
    this.#settle();
    this.stdout.push(null);
    this.stderr.push(null);
    // Without effect on one that has started.
    this.#rejectStarted(exit.failure ?? new HearthError('EXEC_FAILED', 'the command did not start'));
    this.#resolveExited(exit);
  }

  #fail(reason: unknown): void {
    if (this.#over) return;
    this.#settle();
    const error = reason instanceof Error ? reason : new Error('cancelled', { cause: reason });
    this.stdout.destroy(error);
    this.stderr.destroy(error);
    this.#rejectStarted(reason);
    this.#rejectExited(reason);
  }

  #settle(): void {
    this.#over = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    const socket = this.#socket;
    socket.end(() => socket.destroy());
    this.#pump();
  }

  #makeStdin(): Writable {
    const writable = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#pending = { rest: chunk, done };
        this.#pump();
      },
      final: (done) => {
        this.#send(PROCESS_FRAMES.stdin, Buffer.alloc(0));
        done();
      },
    });
    writable.on('error', () => {});
    return writable;
  }

  /** Sends what the credit allows; once all is over, what is written goes nowhere, as with a closed pipe. */
  #pump(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    while (!this.#over && pending.rest.byteLength > 0 && this.#creditBytes > 0) {
      const piece = pending.rest.subarray(0, Math.min(this.#creditBytes, MAX_DATA_BYTES));
      pending.rest = pending.rest.subarray(piece.byteLength);
      this.#creditBytes -= piece.byteLength;
      this.#send(PROCESS_FRAMES.stdin, piece);
    }
    if (!this.#over && pending.rest.byteLength > 0) return;
    this.#pending = undefined;
    pending.done();
  }
}

function exitOf(json: unknown): ExecExit {
  const { failure, signal, ...exit } = exitOutput.parse(json);
  return {
    ...exit,
    ...(signal === undefined ? {} : { signal }),
    ...(failure === undefined ? {} : { failure: errorFromJson(failure) }),
  };
}

function lost(socketPath: string): HearthError {
  return new HearthError('DAEMON_UNREACHABLE', 'the hearth daemon went away while the command ran', {
    hint: 'A detached command goes on; the next hearth command starts the daemon again.',
    details: { socketPath },
  });
}
