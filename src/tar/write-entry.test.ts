import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTarEntry, type NewTarEntry, readTarEntries, TAR_END, tarPadding } from './index.js';

interface Written {
  readonly entry: NewTarEntry;
  readonly content: Buffer;
}

function archive(items: readonly Written[]): Buffer {
  return Buffer.concat([
    ...items.flatMap(({ entry, content }) => [
      encodeTarEntry(entry),
      content,
      tarPadding(content.byteLength),
    ]),
    TAR_END,
  ]);
}

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

const name = fc
  .array(
    fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 0x2f),
    { minLength: 1, maxLength: 150 },
  )
  .map((codes) => `n${String.fromCharCode(...codes)}`);
const entries = fc.record({
  path: name,
  kind: fc.constantFrom('file', 'symlink', 'hardlink', 'fifo', 'character', 'directory'),
  linkTarget: name,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  mtime: fc.record({
    seconds: fc.integer({ min: -(2 ** 35), max: 2 ** 35 }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  }),
  content: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  xattr: fc.option(fc.uint8Array({ maxLength: 300 })),
});

describe('an archive that is written', () => {
  it('reads as what it was, whatever the names, numbers and pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(entries, { maxLength: 8 }),
        fc.integer({ min: 1, max: 5000 }),
        async (made, piece) => {
          const items = made.map(({ content, xattr, ...entry }) => ({
            entry: {
              ...entry,
              sizeBytes: content.byteLength,
              ...(xattr === null ? {} : { xattrs: new Map([['user.x', xattr]]) }),
            } as NewTarEntry,
            content: entry.kind === 'file' ? content : Buffer.alloc(0),
          }));
          const read: unknown[] = [];
          for await (const { entry, content } of readTarEntries(inPieces(archive(items), piece))) {
            const parts: Uint8Array[] = [];
            for await (const part of content) parts.push(part);
            const { path, kind, mode, uid, gid, mtime, linkTarget, xattrs } = entry;
            read.push({
              path,
              kind,
              mode,
              uid,
              gid,
              mtime,
              linkTarget,
              xattrs,
              content: Buffer.concat(parts),
            });
          }
          expect(read).toEqual(
            items.map(({ entry, content }) => ({
              path: entry.kind === 'directory' ? `${entry.path}/` : entry.path,
              kind: entry.kind,
              mode: entry.mode,
              uid: entry.uid,
              gid: entry.gid,
              mtime: entry.mtime,
              linkTarget: entry.kind === 'symlink' || entry.kind === 'hardlink' ? entry.linkTarget : '',
              xattrs: entry.xattrs === undefined ? undefined : new Map(entry.xattrs),
              content,
            })),
          );
        },
      ),
      { numRuns: 100 },
    );
  });

  it('may have its contents left unread', async () => {
    const items = ['a', 'b', 'c'].map((path) => ({
      entry: {
        path,
        kind: 'file',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: { seconds: 1, nanoseconds: 0 },
        sizeBytes: 70_000,
      } as const,
      content: Buffer.alloc(70_000, path),
    }));
    const seen: string[] = [];
    for await (const { entry, content } of readTarEntries(inPieces(archive(items), 1000))) {
      seen.push(entry.path);
      if (entry.path === 'b') for await (const _piece of content) break;
    }
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('that breaks off is refused', async () => {
    const entry = {
      path: 'a',
      kind: 'file',
      mode: 0,
      uid: 0,
      gid: 0,
      mtime: { seconds: 0, nanoseconds: 0 },
      sizeBytes: 9,
    } as const;
    const cut = encodeTarEntry(entry);
    const read = async (): Promise<void> => {
      for await (const { content } of readTarEntries(inPieces(cut, 512))) for await (const _piece of content);
    };
    await expect(read()).rejects.toMatchObject({ code: 'TAR_TRUNCATED' });
  });
});
