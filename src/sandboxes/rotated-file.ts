/** Reads a log that is kept in two files, `NAME.1` and then `NAME`, piece by piece, across the change of its file. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';

export interface RotatedPiece {
  readonly bytes: Buffer;
  /** Where the next piece begins; opaque. */
  readonly cursor: string;
}

const CURSOR = /^\d{1,20}:\d{1,15}$/;

/**
 * The end of the log, or what came after `cursor`.
 *
 * @param maxBytes Of a piece; what is older is left out.
 */
export async function readRotated(
  directory: string,
  fileName: string,
  { maxBytes, cursor }: { readonly maxBytes: number; readonly cursor?: string | undefined },
): Promise<RotatedPiece> {
  const [ino = '', offsetText = '0'] = cursor !== undefined && CURSOR.test(cursor) ? cursor.split(':') : [];
  const parts: Array<{ readonly ino: string; readonly bytes: Buffer; readonly endOffset: number }> = [];
  for (const name of [`${fileName}.1`, fileName]) {
    const file = await open(join(directory, name), 'r').catch(() => undefined);
    if (file === undefined) continue;
    try {
      const stats = await file.stat({ bigint: true });
      const sizeBytes = Number(stats.size);
      const known = String(stats.ino) === ino;
      // What stands before the file that the cursor is in has been read.
      if (known) parts.length = 0;
      const from = Math.max(known ? Number(offsetText) : 0, sizeBytes - maxBytes, 0);
      const bytes = await readRange(file, from, sizeBytes);
      parts.push({ ino: String(stats.ino), bytes, endOffset: from + bytes.byteLength });
    } finally {
      await file.close();
    }
  }
  const all = Buffer.concat(parts.map(({ bytes }) => bytes));
  const last = parts.at(-1);
  return {
    bytes: all.subarray(Math.max(0, all.byteLength - maxBytes)),
    cursor: last === undefined ? (cursor ?? '0:0') : `${last.ino}:${last.endOffset}`,
  };
}

async function readRange(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const buffer = Buffer.alloc(Math.max(0, to - from));
  const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, from);
  return buffer.subarray(0, bytesRead);
}
