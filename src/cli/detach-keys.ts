/** The keys that leave a terminal without ending what runs on it: `ctrl-p,ctrl-q`. */
import { Transform } from 'node:stream';
import { HearthError } from '../errors/index.js';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

/**
 * The bytes of a sequence of keys: letters, digits or `ctrl-` with a letter or one of `@[\]^_`, with commas between.
 *
 * @returns No byte for an empty text: no keys detach.
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function parseDetachKeys(text: string): Buffer {
  if (text === '') return Buffer.alloc(0);
  const bytes = text.split(',').map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw new HearthError('USAGE_INVALID', `not a key: ${JSON.stringify(key.slice(0, 32))}`, {
      hint: `Write keys like ${DEFAULT_DETACH_KEYS}, or '' for none.`,
      details: { key: key.slice(0, 32) },
    });
  });
  return Buffer.from(bytes);
}

/** Passes on what is typed, until the keys come; then calls `onDetach` once and passes on nothing more. */
export class DetachKeys extends Transform {
  readonly #keys: Buffer;
  readonly #onDetach: () => void;
  #matched = 0;
  #isOver = false;

  constructor(keys: Buffer, onDetach: () => void) {
    super();
    this.#keys = keys;
    this.#onDetach = onDetach;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const passed: number[] = [];
    for (const byte of chunk) {
      if (this.#isOver) break;
      if (this.#keys.byteLength > 0 && byte === this.#keys[this.#matched]) {
        this.#matched += 1;
        if (this.#matched === this.#keys.byteLength) {
          this.#isOver = true;
          this.#onDetach();
        }
        continue;
      }
      // What looked like the keys and was not goes on as typed.
      passed.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = this.#keys.byteLength > 0 && byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) passed.push(byte);
    }
    if (passed.length > 0) this.push(Buffer.from(passed));
    done();
  }
}
