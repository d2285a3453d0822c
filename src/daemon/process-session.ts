/** The daemon's side of a conversation with a command of a guest. Its other side is `sdk/remote-process.ts`. */
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { ExecExit, GuestProcess } from '../agent/index.js';
import {
  encodeProcessFrame,
  errorToJson,
  jsonOfFrame,
  MAX_DATA_BYTES,
  PROCESS_FRAMES,
  type ProcessFrame,
  ProcessFrameDecoder,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { parseSignal } from '../sandboxes/index.js';

export interface ProcessSessionOptions {
  /** Starts or takes up the command that the client's first frame asks for. */
  readonly open: (input: unknown, signal: AbortSignal) => Promise<GuestProcess>;
  /** How long the client may take to say what it wants. */
  readonly inputTimeoutMs: number;
}

/** What the client may send of stdin before the guest has taken it. */
const STDIN_WINDOW_BYTES = 256 * 1024;
/** Between this and the limit of a command line lies nothing that a client needs after its first frame. */
const MAX_CONTROL_BYTES = 64 * 1024;

const signalSchema = z.object({
  signal: z.string(),
  target: z.enum(['group', 'process', 'all']),
});
const resizeSchema = z.object({
  rows: z.number().int().min(1).max(65_535),
  columns: z.number().int().min(1).max(65_535),
});

/**
 * Serves one client until the command has ended or the client is gone. A client that goes away kills a command
 * that is not detached. Never rejects; the socket is closed when it resolves.
 */
export async function serveProcess(socket: Duplex, options: ProcessSessionOptions): Promise<void> {
  await new ProcessSession(socket, options).run();
}

class ProcessSession {
  readonly #socket: Duplex;
  readonly #options: ProcessSessionOptions;
  readonly #gone = new AbortController();
  readonly #decoder = new ProcessFrameDecoder();
  #takeInput: ((frame: ProcessFrame) => void) | undefined;
  #guest: GuestProcess | undefined;
  /** What the client still may send of stdin. */
  #grantedBytes = 0;
  #hasTerminal = false;
  #isDetaching = false;

  constructor(socket: Duplex, options: ProcessSessionOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  async run(): Promise<void> {
    const socket = this.#socket;
    socket.on('error', () => socket.destroy());
    // A client never ends only its half: it is gone.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      // Who loses a terminal is told so; who leaves it on purpose has said that before.
      if (this.#hasTerminal && !this.#isDetaching) this.#guest?.kill('SIGHUP');
      this.#gone.abort(new Error('the client went away'));
    });
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    try {
      const input = await this.#input();
      this.#hasTerminal = typeof input === 'object' && input !== null && 'terminal' in input;
      const guest = await this.#options.open(input, this.#gone.signal);
      this.#guest = guest;
      if (guest.stdin !== undefined) this.#grant(STDIN_WINDOW_BYTES);
      const outputs = [
        this.#deliver(guest.stdout, PROCESS_FRAMES.stdout),
        this.#deliver(guest.stderr, PROCESS_FRAMES.stderr),
      ];
      // Whichever fails first ends the others through the process; its reason is the one to tell.
      void Promise.all(outputs).catch(() => {});
      const started = guest.started.then(
        (start) => this.#send(PROCESS_FRAMES.started, JSON.stringify(start)),
        () => undefined,
      );
      const exit = await guest.exited;
      await Promise.all([started, ...outputs]);
      await this.#send(PROCESS_FRAMES.exit, JSON.stringify(exitJson(exit)));
    } catch (error) {
      this.#guest?.abandon(error);
      await this.#send(PROCESS_FRAMES.error, JSON.stringify({ error: errorToJson(error) }));
    } finally {
      socket.end(() => socket.destroy());
    }
  }

  async #input(): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const frame = await new Promise<ProcessFrame>((resolve, reject) => {
        this.#takeInput = resolve;
        const { inputTimeoutMs } = this.#options;
        timer = setTimeout(() => reject(invalid(`no command within ${inputTimeoutMs} ms`)), inputTimeoutMs);
        this.#gone.signal.addEventListener('abort', () => reject(this.#gone.signal.reason), { once: true });
      });
      if (frame.type !== PROCESS_FRAMES.input)
        throw invalid(`a frame of type ${frame.type} before the command`);
      return jsonOfFrame(frame);
    } finally {
      clearTimeout(timer);
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame);
    } catch (error) {
      void this.#send(PROCESS_FRAMES.error, JSON.stringify({ error: errorToJson(error) }));
      this.#guest?.abandon(error);
      this.#socket.end();
    }
  }

  #take(frame: ProcessFrame): void {
    const takeInput = this.#takeInput;
    if (takeInput !== undefined) {
      this.#takeInput = undefined;
      takeInput(frame);
      return;
    }
    if (frame.payload.byteLength > MAX_CONTROL_BYTES)
      throw invalid(`a frame of ${frame.payload.byteLength} bytes`);
    switch (frame.type) {
      case PROCESS_FRAMES.stdin:
        this.#stdin(frame.payload);
        return;
      case PROCESS_FRAMES.signal: {
        const { signal, target } = parsed(signalSchema, frame);
        this.#guest?.kill(parseSignal(signal), target);
        return;
      }
      case PROCESS_FRAMES.detach:
        this.#isDetaching = true;
        return;
      case PROCESS_FRAMES.resize:
        this.#guest?.resize(parsed(resizeSchema, frame));
        return;
      default:
        throw invalid(`a frame of type ${frame.type}`);
    }
  }

  #stdin(bytes: Buffer): void {
    const stdin = this.#guest?.stdin;
    if (bytes.byteLength > this.#grantedBytes) throw invalid('more standard input than was granted');
    if (stdin === undefined) return;
    if (bytes.byteLength === 0) {
      stdin.end();
      return;
    }
    this.#grantedBytes -= bytes.byteLength;
    if (stdin.destroyed || stdin.writableEnded) return;
    // The bytes belong to the decoder; the guest may take them later.
    stdin.write(Buffer.from(bytes), () => this.#grant(bytes.byteLength));
  }

  #grant(bytes: number): void {
    this.#grantedBytes += bytes;
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(bytes);
    void this.#send(PROCESS_FRAMES.credit, payload);
  }

  /** Sends an output as fast as the client takes it. */
  async #deliver(output: NodeJS.ReadableStream, type: number): Promise<void> {
    for await (const chunk of output) {
      const bytes = Buffer.from(chunk as Uint8Array);
      for (let offset = 0; offset < bytes.byteLength; offset += MAX_DATA_BYTES) {
        await this.#send(type, bytes.subarray(offset, offset + MAX_DATA_BYTES));
      }
    }
  }

  /** Resolves when the next frame may be sent: at once when the client is gone. */
  async #send(type: number, payload: Uint8Array | string): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || !socket.writable) return;
    if (socket.write(encodeProcessFrame(type, payload))) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        socket.off('drain', go);
        socket.off('close', go);
        resolve();
      };
      socket.on('drain', go);
      socket.on('close', go);
    });
  }
}

function exitJson({ failure, ...exit }: ExecExit): object {
  return { ...exit, ...(failure === undefined ? {} : { failure: failure.toJSON() }) };
}

function parsed<T extends z.ZodType>(schema: T, frame: ProcessFrame): z.output<T> {
  const result = schema.safeParse(jsonOfFrame(frame));
  if (result.success) return result.data;
  throw invalid(`a frame of type ${frame.type} with wrong fields`);
}

function invalid(what: string): HearthError {
  return new HearthError('DAEMON_PROTOCOL_INVALID', `the client sent ${what}`, { details: { what } });
}
