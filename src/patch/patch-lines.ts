/** The lines of a patch under a cursor, with their numbers for errors. */
import { HearthError } from '../errors/index.js';
import { splitLines } from './line-diff.js';

export class PatchLines {
  readonly #lines: readonly string[];
  readonly #firstNumber: number;
  #at = 0;

  constructor(text: string, firstNumber = 1) {
    this.#lines = splitLines(text);
    this.#firstNumber = firstNumber;
  }

  get atEnd(): boolean {
    return this.#at >= this.#lines.length;
  }

  /** Of the next line, counted from 1. */
  get number(): number {
    return this.#firstNumber + this.#at;
  }

  /** The next line with its newline, or the one `ahead` of it; `''` behind the end. */
  peek(ahead = 0): string {
    return this.#lines[this.#at + ahead] ?? '';
  }

  next(): string {
    const line = this.peek();
    this.#at += 1;
    return line;
  }

  invalid(
    what: string,
    hint = 'Make the patch anew, for example with `git diff`.',
    line = this.number,
  ): HearthError {
    return new HearthError('PATCH_INVALID', `line ${line} of the patch: ${what}`, {
      hint,
      details: { line, what },
    });
  }
}
