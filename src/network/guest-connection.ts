/**
 * One stream from the guest while it speaks HTTP to the proxy: serves its requests one after the
 * other and lets no phase of it last for ever.
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { EgressLimits } from './egress-limits.js';
import { sliceReads } from './sliced-stream.js';

export interface GuestConnection {
  /** Stands for the stream that was handed over. */
  readonly stream: Duplex;
  /** Aborted when the stream closes or the proxy does. */
  readonly signal: AbortSignal;
  /** Whether a request is being served or waiting. */
  isBusy(): boolean;
  /**
   * Serves a request when all earlier ones have been answered.
   *
   * @returns false when too many are waiting; the stream has then been destroyed.
   */
  enqueue(response: ServerResponse, serve: () => Promise<void>): boolean;
  /** The stream speaks no HTTP any more; its limits are now the caller's. */
  leaveHttp(): void;
  /** Writes a last message and closes, whether or not the guest reads it. */
  closeWith(text: string): void;
  destroy(): void;
  /** Destroys it by the will of the proxy's owner. */
  cut(): void;
  isCut(): boolean;
}

/** How long a guest may take to read the last response before its stream is destroyed. */
const LINGER_MS = 1000;
/**
 * How much of what the guest still sends is read meanwhile, in bytes. A TCP socket that is closed over
 * unread bytes takes the response back; a flood is not worth reading.
 */
const LINGER_BYTES = 64 * 1024;
/** Some thirty requests of the shortest kind. */
const SLICE_BYTES = 1024;

export function createGuestConnection(
  original: Duplex,
  limits: Pick<EgressLimits, 'headTimeoutMs' | 'maxPipelinedRequests'>,
): GuestConnection {
  const { stream, stopSlicing } = sliceReads(original, SLICE_BYTES);
  const controller = new AbortController();
  const waiting: Array<() => Promise<void>> = [];
  let isServing = false;
  let isCut = false;
  let deadline: NodeJS.Timeout | undefined;

  const destroy = () => {
    controller.abort();
    stream.destroy();
  };
  const destroyAfter = (delayMs: number) => {
    clearTimeout(deadline);
    deadline = setTimeout(() => stream.destroy(), delayMs);
    deadline.unref();
  };
  const serveAll = async () => {
    clearTimeout(deadline);
    isServing = true;
    for (let next = waiting.shift(); next !== undefined && !stream.destroyed; next = waiting.shift()) {
      await next();
    }
    isServing = false;
    if (!stream.destroyed) destroyAfter(stream.writableEnded ? LINGER_MS : limits.headTimeoutMs);
  };

  stream.on('error', () => stream.destroy());
  stream.once('close', () => {
    clearTimeout(deadline);
    waiting.length = 0;
    controller.abort();
  });
  destroyAfter(limits.headTimeoutMs);

  return {
    stream,
    signal: controller.signal,
    isBusy: () => isServing,
    enqueue(response, serve) {
      if (stream.destroyed) return true;
      if (waiting.length >= limits.maxPipelinedRequests) {
        stream.destroy();
        return false;
      }
      waiting.push(async () => {
        const closed = new Promise((resolve) => response.once('close', resolve));
        await serve().catch(() => stream.destroy());
        if (!stream.destroyed) await closed;
      });
      if (!isServing) void serveAll();
      return true;
    },
    leaveHttp() {
      stopSlicing();
      clearTimeout(deadline);
    },
    closeWith(text) {
      stream.end(text);
      let readBytes = 0;
      stream.on('data', (chunk: Buffer) => {
        readBytes += chunk.byteLength;
        if (readBytes > LINGER_BYTES) stream.pause();
      });
      destroyAfter(LINGER_MS);
    },
    destroy,
    cut() {
      isCut = true;
      destroy();
    },
    isCut: () => isCut,
  };
}
