import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, writeCpio } from './cpio.js';

/** Reads an archive back by the format's description, sharing nothing with the writer. */
function readBack(archive: Uint8Array): { path: string; fields: number[]; data: string }[] {
  const bytes = Buffer.from(archive);
  const found = [];
  for (let at = 0; ; ) {
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701');
    const fields = Array.from({ length: 13 }, (_, index) =>
      Number.parseInt(bytes.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16),
    );
    const nameAt = at + 110;
    const nameBytes = fields[11] ?? 0;
    const path = bytes.toString('utf8', nameAt, nameAt + nameBytes - 1);
    const dataAt = Math.ceil((nameAt + nameBytes) / 4) * 4;
    const data = bytes.toString('latin1', dataAt, dataAt + (fields[6] ?? 0));
    at = Math.ceil((dataAt + (fields[6] ?? 0)) / 4) * 4;
    found.push({ path, fields, data });
    if (path === 'TRAILER!!!') {
      expect(at).toBe(bytes.byteLength);
      return found;
    }
  }
}

describe('writeCpio', () => {
  it('writes only a trailer for nothing', () => {
    expect(readBack(writeCpio([]))).toMatchObject([{ path: 'TRAILER!!!', data: '' }]);
  });

  it('keeps type, mode, links, device numbers and bytes, owned by root at time 0', () => {
    const entries: CpioEntry[] = [
      { kind: 'directory', path: 'dev', mode: 0o755 },
      { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
      { kind: 'file', path: 'init', mode: 0o4755, data: Buffer.from('#!x') },
    ];
    const [dev, console, init] = readBack(writeCpio(entries));
    // ino mode uid gid nlink mtime filesize major minor rmajor rminor namesize check
    expect(dev?.fields).toEqual([1, 0o040755, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0]);
    expect(console?.fields).toEqual([2, 0o020600, 0, 0, 1, 0, 0, 0, 0, 5, 1, 12, 0]);
    expect(init?.fields).toEqual([3, 0o104755, 0, 0, 1, 0, 3, 0, 0, 0, 0, 5, 0]);
    expect(init?.data).toBe('#!x');
  });

  it.each([0, 1, 2, 3, 4, 5])('aligns what follows %i bytes', (sizeBytes) => {
    const data = Buffer.alloc(sizeBytes, 'x');
    const names = ['a', 'bb', 'ccc', 'dddd'];
    const entries = names.map((path): CpioEntry => ({ kind: 'file', path, mode: 0o644, data }));
    expect(readBack(writeCpio(entries)).map(({ path }) => path)).toEqual([...names, 'TRAILER!!!']);
  });

  it.each(['', '/', '/init', 'a//b', 'a/', '.', './a', 'a/../b', 'a\0b', 'TRAILER!!!', 'x'.repeat(4096)])(
    'refuses the path %j',
    (path) => {
      expect(() => writeCpio([{ kind: 'directory', path, mode: 0o755 }])).toThrow(
        expect.objectContaining({ code: 'NAME_INVALID', details: { path } }),
      );
    },
  );

  it('takes a name of 4095 bytes', () => {
    const path = 'x'.repeat(4095);
    expect(readBack(writeCpio([{ kind: 'directory', path, mode: 0o755 }]))[0]?.path).toBe(path);
  });

  it('gives back any names and bytes', () => {
    const name = fc.stringMatching(/^[a-z0-9_äß]{1,20}$/);
    const file = fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      data: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 20 }), (files) => {
        const archive = writeCpio(files.map((each) => ({ kind: 'file', mode: 0o600, ...each })));
        expect(
          readBack(archive)
            .slice(0, -1)
            .map(({ path, data }) => ({ path, data })),
        ).toEqual(files.map(({ path, data }) => ({ path, data: Buffer.from(data).toString('latin1') })));
      }),
    );
  });
});
