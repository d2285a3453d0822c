/** A tar archive (plain, gzip or zstd) as entries of a seed. Archives are hostile: they may name what they like. */
import { createReadStream } from 'node:fs';
import { decompressSniffed } from '../../environments/index.js';
import { fileError, HearthError } from '../../errors/index.js';
import { displayName, type TarEntry, TarReader } from '../../tar/index.js';
import type { BaselineWriter } from './baseline-writer.js';

const READ_BYTES = 256 * 1024;

/** @throws {HearthError} `TAR_INVALID`, `TAR_TRUNCATED`, `COMPRESSION_INVALID`, `SEED_INVALID` and those of the writer. */
export async function readArchive(
  path: string,
  writer: BaselineWriter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const reader = new TarReader({
    onEntry: (entry) => addEntry(entry, writer),
    onData: (bytes, offsetBytes) => writer.write(bytes, offsetBytes),
    onFileEnd: () => writer.endFile(),
  });
  const source = createReadStream(path, { highWaterMark: READ_BYTES });
  try {
    for await (const chunk of decompressSniffed(source)) {
      signal?.throwIfAborted();
      reader.push(chunk);
    }
    reader.finish();
  } catch (error) {
    throw fileError(error, path);
  } finally {
    source.destroy();
  }
}

function addEntry(entry: TarEntry, writer: BaselineWriter): void {
  const { path, kind, mode, mtime, sizeBytes, linkTarget: target } = entry;
  switch (kind) {
    case 'hardlink':
      writer.addHardLink(path, target);
      return;
    case 'file':
    case 'directory':
    case 'symlink': {
      const mtimeNs = BigInt(mtime.seconds) * 1_000_000_000n + BigInt(mtime.nanoseconds);
      writer.add({ path, kind, mode, mtimeNs, sizeBytes, target: kind === 'symlink' ? target : '' });
      return;
    }
    default:
      throw new HearthError(
        'SEED_INVALID',
        `the archive has a ${kind} device or pipe: ${displayName(path)}`,
        {
          hint: 'Make the archive from files, directories and links only.',
          details: { path: displayName(path), kind },
        },
      );
  }
}
