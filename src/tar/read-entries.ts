/** A tar archive as a sequence of entries with their contents, for who can wait: the source is held back. */
import type { TarEntry } from './entry.js';
import { TarReader } from './reader.js';

export interface TarItem {
  readonly entry: TarEntry;
  /** The bytes of a file as it reads, holes as zeros: `entry.sizeBytes` of them. May be left unread; valid until the next item. */
  readonly content: AsyncIterable<Uint8Array>;
}

type Step =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly bytes: Buffer; readonly offsetBytes: number }
  | { readonly kind: 'end' };

const PIECE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/**
 * Reads the archive to its end.
 *
 * @throws {HearthError} `TAR_INVALID`, `TAR_TRUNCATED`, and what `source` throws.
 */
export async function* readTarEntries(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarItem> {
  const steps = stepsOf(source);
  let next = await steps.next();
  try {
    while (next.done !== true) {
      const step = next.value;
      if (step.kind !== 'entry') {
        next = await steps.next();
        continue;
      }
      const left = { over: step.entry.kind !== 'file' };
      const content = contentOf(steps, step.entry.sizeBytes, left);
      yield { entry: step.entry, content };
      while (!left.over) {
        const skipped = await steps.next();
        left.over = skipped.done === true || skipped.value.kind === 'end';
      }
      next = await steps.next();
    }
  } finally {
    await steps.return(undefined);
  }
}

async function* contentOf(
  steps: AsyncGenerator<Step>,
  sizeBytes: number,
  left: { over: boolean },
): AsyncGenerator<Uint8Array> {
  let position = 0;
  while (!left.over) {
    const { value: step, done } = await steps.next();
    if (done === true || step.kind !== 'data') {
      left.over = true;
      break;
    }
    yield* zeros(step.offsetBytes - position);
    position = step.offsetBytes + step.bytes.byteLength;
    yield step.bytes;
  }
  yield* zeros(sizeBytes - position);
}

function* zeros(countBytes: number): Generator<Uint8Array> {
  for (let left = countBytes; left > 0; left -= PIECE_BYTES)
    yield ZEROS.subarray(0, Math.min(left, PIECE_BYTES));
}

/** What the reader tells of each piece of the source, before the next piece is asked for. */
async function* stepsOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Step> {
  let steps: Step[] = [];
  const reader = new TarReader({
    onEntry: (entry) => steps.push({ kind: 'entry', entry }),
    onData: (bytes, offsetBytes) => steps.push({ kind: 'data', bytes: Buffer.from(bytes), offsetBytes }),
    onFileEnd: () => steps.push({ kind: 'end' }),
  });
  for await (const chunk of source) {
    for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) {
      reader.push(chunk.subarray(at, at + PIECE_BYTES));
      yield* steps;
      steps = [];
    }
  }
  reader.finish();
}
