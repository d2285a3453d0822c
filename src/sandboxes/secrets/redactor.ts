/**
 * Takes secrets out of what a guest says. It guards against accidents: a guest that means to tell a secret can always
 * write it in another form.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { HearthError } from '../../errors/index.js';

const MARK = '[REDACTED]';
/** Shorter ones stand in any output by chance. */
const LEAST_BYTES = 4;
/** A line of a secret of several lines counts by itself from here on. */
const LEAST_LINE_BYTES = 8;
/** A longer secret is looked for in pieces, so that little has to be held back. */
const PIECE_BYTES = 4096;
/** How long the beginning of what may be a secret is held back when nothing follows. */
const HOLD_MS = 100;

interface Scanned {
  readonly clean: Buffer;
  readonly held: Buffer;
}

export class Redactor {
  readonly #patterns: readonly Buffer[];

  constructor(secrets: Iterable<string>) {
    this.#patterns = [...new Set([...secrets].flatMap(patternsOf))]
      .map((text) => Buffer.from(text))
      .sort((one, other) => other.byteLength - one.byteLength);
  }

  get isNeeded(): boolean {
    return this.#patterns.length > 0;
  }

  text(text: string): string {
    return this.isNeeded ? this.bytes(Buffer.from(text)).toString() : text;
  }

  bytes(bytes: Buffer): Buffer {
    return this.isNeeded ? this.#scan(bytes, true).clean : bytes;
  }

  /** The same error, unless a part of it has a secret in it. */
  error<T>(error: T): T | HearthError {
    if (!this.isNeeded || !HearthError.is(error)) return error;
    const { code, message, hint, details } = error;
    const shown = this.#value({ message, hint, details }) as Pick<
      HearthError,
      'message' | 'hint' | 'details'
    >;
    if (JSON.stringify(shown) === JSON.stringify({ message, hint, details })) return error;
    return new HearthError(code, shown.message, {
      details: shown.details,
      ...(shown.hint === undefined ? {} : { hint: shown.hint }),
    });
  }

  /**
   * Bytes through it come without secrets, also where one is cut by the end of a piece.
   *
   * @param isAnswered Somebody may wait for these bytes before the next ones can come: what may become a secret is
   *   held back for a moment only, not until more comes.
   */
  stream({ isAnswered }: { readonly isAnswered: boolean }): Transform {
    return new RedactingStream((bytes, isEnd) => this.#scan(bytes, isEnd), isAnswered);
  }

  #value(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#value(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#value(item)]));
  }

  /**
   * The first secret wins, of several that begin together the longest.
   *
   * @returns `held`: the end of the bytes, when a secret may begin there and go on.
   */
  #scan(bytes: Buffer, isEnd: boolean): Scanned {
    const next = this.#patterns.map((pattern) => bytes.indexOf(pattern));
    const pieces: Buffer[] = [];
    let at = 0;
    let heldFrom = isEnd ? bytes.byteLength : this.#heldFrom(bytes, 0);
    for (;;) {
      let best = -1;
      for (const [index, pattern] of this.#patterns.entries()) {
        const seen = next[index] ?? -1;
        if (seen !== -1 && seen < at) next[index] = bytes.indexOf(pattern, at);
        const found = next[index] ?? -1;
        if (found !== -1 && (best === -1 || found < (next[best] ?? -1))) best = index;
      }
      const found = next[best];
      const pattern = this.#patterns[best];
      if (found === undefined || pattern === undefined || found >= heldFrom) break;
      pieces.push(bytes.subarray(at, found), Buffer.from(MARK));
      at = found + pattern.byteLength;
      if (at > heldFrom) heldFrom = this.#heldFrom(bytes, at);
    }
    pieces.push(bytes.subarray(at, heldFrom));
    return { clean: Buffer.concat(pieces), held: bytes.subarray(heldFrom) };
  }

  /** Where the first secret begins, not before `at`, that the end of the bytes cuts. */
  #heldFrom(bytes: Buffer, at: number): number {
    let first = bytes.byteLength;
    for (const pattern of this.#patterns) {
      const head = pattern[0] ?? 0;
      let from = bytes.indexOf(head, Math.max(at, bytes.byteLength - pattern.byteLength + 1));
      while (from !== -1 && from < first) {
        const lengthBytes = bytes.byteLength - from;
        if (bytes.compare(pattern, 0, lengthBytes, from) === 0) first = from;
        from = bytes.indexOf(head, from + 1);
      }
    }
    return first;
  }
}

class RedactingStream extends Transform {
  readonly #scan: (bytes: Buffer, isEnd: boolean) => Scanned;
  #held: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  readonly #isAnswered: boolean;

  constructor(scan: (bytes: Buffer, isEnd: boolean) => Scanned, isAnswered: boolean) {
    super();
    this.#scan = scan;
    this.#isAnswered = isAnswered;
    // The failure of a stream that nobody reads is told by the call it belongs to.
    this.on('error', () => {});
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    clearTimeout(this.#timer);
    const { clean, held } = this.#scan(Buffer.concat([this.#held, chunk]), false);
    this.#held = held;
    if (clean.byteLength > 0) this.push(clean);
    // A prompt must not wait for an answer that waits for the prompt.
    if (held.byteLength > 0 && this.#isAnswered) this.#timer = setTimeout(() => this.#release(), HOLD_MS);
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#release();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }

  #release(): void {
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    if (held.byteLength > 0) this.push(this.#scan(held, true).clean);
  }
}

function patternsOf(secret: string): string[] {
  const whole = secret.trim();
  const lines = whole.split(/\r?\n/).map((line) => line.trim());
  return [
    ...(Buffer.byteLength(whole) < LEAST_BYTES ? [] : piecesOf(whole)),
    ...(lines.length === 1 ? [] : lines.filter((line) => Buffer.byteLength(line) >= LEAST_LINE_BYTES)),
  ].flatMap(piecesOf);
}

function piecesOf(text: string): string[] {
  if (Buffer.byteLength(text) <= PIECE_BYTES) return [text];
  const pieces: string[] = [];
  // By characters, of which one has at most 4 bytes; a rest that is too short is left to chance.
  const characters = [...text];
  for (let from = 0; from < characters.length; from += PIECE_BYTES / 4) {
    const piece = characters.slice(from, from + PIECE_BYTES / 4).join('');
    if (Buffer.byteLength(piece) >= LEAST_LINE_BYTES) pieces.push(piece);
  }
  return pieces;
}
