/**
 * What the layers above have decided already, by the names they use: a body that the merge will hardly need
 * is not stored. Only a forecast, for speed: it does not follow links. `merge.ts` decides, and what it misses
 * after all is read again.
 */
import { parentOf } from './entry-path.js';

const NAMED = 1;
const CLOSED = 2;
const OPAQUE = 4;

export class MaskForecast {
  readonly #flags = new Map<string, number>();
  readonly #linkTargets = new Set<string>();
  #lastDirectory: string | undefined;
  #lastIsHidden = false;

  /** An upper layer has an entry at `path`. A symbolic link may stand for a directory of the same layers: it hides only its own name. */
  addEntry(path: string, keepsBelow: boolean): void {
    this.#add(path, keepsBelow ? NAMED : NAMED | CLOSED);
  }

  addWhiteout(path: string): void {
    this.#add(path, NAMED | CLOSED);
  }

  addOpaque(directory: string): void {
    this.#add(directory, OPAQUE);
  }

  /** A hard link of an upper layer needs the node at `target`, whatever became of that name since. */
  addLinkTarget(target: string): void {
    this.#linkTargets.add(target);
  }

  /** True when the file of a lower layer at `path` is hidden, as far as names tell. */
  hides(path: string): boolean {
    if (this.#flags.size === 0 || this.#linkTargets.has(path)) return false;
    return ((this.#flags.get(path) ?? 0) & NAMED) !== 0 || this.#hidesInside(parentOf(path));
  }

  #add(path: string, flags: number): void {
    this.#flags.set(path, (this.#flags.get(path) ?? 0) | flags);
    this.#lastDirectory = undefined;
  }

  #hidesInside(directory: string): boolean {
    if (directory === this.#lastDirectory) return this.#lastIsHidden;
    this.#lastDirectory = directory;
    this.#lastIsHidden = false;
    for (
      let end = directory.length;
      end >= 0;
      end = end === 0 ? -1 : Math.max(0, directory.lastIndexOf('/', end - 1))
    ) {
      if (((this.#flags.get(directory.slice(0, end)) ?? 0) & (CLOSED | OPAQUE)) !== 0) {
        this.#lastIsHidden = true;
        break;
      }
    }
    return this.#lastIsHidden;
  }
}
