/**
 * Joining two byte streams: what one side sends the other receives, each end of writing on its own.
 *
 * Holds no bytes of its own. What is under way is bounded by the high-water marks of the two streams:
 * a side that does not read stops the other from being read.
 */
import { type Duplex, finished } from 'node:stream';

export interface SpliceOptions {
  /** Longest time without a byte in either direction, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Ends the splice: both streams are destroyed. */
  readonly signal?: AbortSignal;
}

export interface SpliceResult {
  /** `completed`: both sides ended their writing. `broken`: one failed or went away before. */
  readonly ending: 'completed' | 'broken' | 'idle-timeout' | 'aborted';
  readonly leftToRightBytes: number;
  readonly rightToLeftBytes: number;
}

/**
 * Copies both ways until both sides have ended, then destroys both streams. Never rejects.
 *
 * A broken side breaks the other at once: a TCP socket is reset, so that its peer does not take cut
 * data for the whole.
 */
export function splice(left: Duplex, right: Duplex, options: SpliceOptions): Promise<SpliceResult> {
  return new Promise((resolve) => {
    let leftToRightBytes = 0;
    let rightToLeftBytes = 0;
    let unfinished = 2;
    let isOver = false;

    const end = (ending: SpliceResult['ending']) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(idle);
      options.signal?.removeEventListener('abort', abort);
      for (const stream of [left, right]) destroyStream(stream, ending !== 'completed');
      resolve({ ending, leftToRightBytes, rightToLeftBytes });
    };
    const abort = () => end('aborted');
    const idle = setTimeout(end, options.idleTimeoutMs, 'idle-timeout');
    const sideFinished = (error?: Error | null) => {
      if (error) return end('broken');
      unfinished -= 1;
      if (unfinished === 0) end('completed');
    };

    // Errors may come after the end; without a listener they would end the process.
    for (const stream of [left, right]) stream.on('error', () => end('broken'));
    if (options.signal?.aborted === true) return abort();
    options.signal?.addEventListener('abort', abort, { once: true });
    finished(left, sideFinished);
    finished(right, sideFinished);
    left.on('data', (chunk: Buffer) => {
      leftToRightBytes += chunk.byteLength;
      idle.refresh();
    });
    right.on('data', (chunk: Buffer) => {
      rightToLeftBytes += chunk.byteLength;
      idle.refresh();
    });
    left.pipe(right);
    right.pipe(left);
  });
}

/** Destroys a stream; with `reset`, a TCP socket tells its peer that something went wrong. */
export function destroyStream(stream: Duplex, reset: boolean): void {
  if (reset && 'resetAndDestroy' in stream && typeof stream.resetAndDestroy === 'function') {
    stream.resetAndDestroy();
  } else {
    stream.destroy();
  }
}
