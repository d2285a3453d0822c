/**
 * A disk read from the host: raw, or a qcow2 overlay with all that it reads from. Only ever of paths and formats
 * that hearth itself wrote down; what QEMU has written since is bounded all the same.
 *
 * Source: QEMU docs/interop/qcow2.rst, version 3.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { HearthError } from '../errors/index.js';
import { onDisk } from './disk-error.js';
import type { DiskFormat } from './qcow2.js';
import { Qcow2Map } from './qcow2-map.js';

const MAX_CHAIN = 16;

/** One file of a chain, the uppermost first. */
interface Layer {
  readonly path: string;
  readonly file: FileHandle;
  readonly fileBytes: number;
  /** Which file it is, whatever its path. */
  readonly identity: string;
  /** Undefined: raw. */
  readonly map: Qcow2Map | undefined;
}

export class DiskReader implements AsyncDisposable {
  readonly sizeBytes: number;
  readonly #layers: readonly Layer[];

  private constructor(layers: readonly Layer[]) {
    this.#layers = layers;
    const [top] = layers;
    this.sizeBytes = top?.map?.sizeBytes ?? top?.fileBytes ?? 0;
  }

  /** @throws {HearthError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `DISK_FORMAT_INVALID`. */
  static async open(path: string, format: DiskFormat): Promise<DiskReader> {
    const layers: Layer[] = [];
    try {
      let next: { path: string; format: DiskFormat } | undefined = { path, format };
      while (next !== undefined) {
        if (layers.length >= MAX_CHAIN) throw invalid(path, `a chain of more than ${MAX_CHAIN} files`);
        const layer = await openLayer(next.path, next.format);
        layers.push(layer);
        next = layer.map?.backing;
      }
      return new DiskReader(layers);
    } catch (error) {
      await Promise.all(layers.map(({ file }) => file.close()));
      throw error;
    }
  }

  /** Which file is the lowest of the chain. */
  get baseIdentity(): string {
    return this.#layers.at(-1)?.identity ?? '';
  }

  /** Fills `into` from `position` on; what was never written reads as zeros. */
  async read(into: Uint8Array, position: number): Promise<void> {
    await this.#read(0, into, position);
  }

  /** Whether all of these bytes are still the lowest file's own: nobody above it has written there. */
  async isBase(position: number, bytes: number): Promise<boolean> {
    const end = position + bytes;
    for (const { map, file } of this.#layers) {
      if (map === undefined) return true;
      for (let at = position; at < end; ) {
        const piece = await map.locate(file, at, end - at);
        if (piece.at !== 'backing') return false;
        at += piece.bytes;
      }
    }
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#layers.map(({ file }) => file.close()));
  }

  async #read(depth: number, into: Uint8Array, position: number): Promise<void> {
    const layer = this.#layers[depth];
    if (layer === undefined) {
      into.fill(0);
      return;
    }
    if (layer.map === undefined) {
      await readOrZeros(layer, into, position);
      return;
    }
    for (let done = 0; done < into.byteLength; ) {
      const piece = await layer.map.locate(layer.file, position + done, into.byteLength - done);
      const part = into.subarray(done, done + piece.bytes);
      if (piece.at === 'backing') await this.#read(depth + 1, part, position + done);
      else if (piece.at === 'zeros') part.fill(0);
      else await readOrZeros(layer, part, piece.at);
      done += piece.bytes;
    }
  }
}

async function openLayer(path: string, format: DiskFormat): Promise<Layer> {
  return await onDisk(path, async () => {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw invalid(path, 'not a regular file');
      const map = format === 'raw' ? undefined : await Qcow2Map.open(file, path);
      return { path, file, fileBytes: stats.size, identity: `${stats.dev}:${stats.ino}`, map };
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

async function readOrZeros({ file, path }: Layer, into: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < into.byteLength) {
    const { bytesRead } = await onDisk(path, () =>
      file.read(into, done, into.byteLength - done, position + done),
    );
    if (bytesRead === 0) {
      into.fill(0, done);
      return;
    }
    done += bytesRead;
  }
}

function invalid(path: string, what: string): HearthError {
  return new HearthError('DISK_FORMAT_INVALID', `${path} is not a disk: ${what}`, {
    hint: 'Remove the sandbox and create it again.',
    details: { path, what },
  });
}
