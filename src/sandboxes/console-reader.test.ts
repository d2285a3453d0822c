import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConsole } from './console-reader.js';
import { Redactor } from './secrets/redactor.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-console-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const read = async (cursor?: string, maxBytes = 1000): Promise<[string, string]> => {
  const piece = await readConsole(directory, { maxBytes, cursor }, new Redactor(['swordfish']));
  return [piece.bytes.toString(), piece.cursor];
};

describe('readConsole', () => {
  it('gives nothing where nothing is', async () => {
    expect((await read())[0]).toBe('');
  });

  it('gives each byte once, also across the change of the file', async () => {
    const log = join(directory, 'console.log');
    await writeFile(log, 'one ');
    const [first, cursor] = await read();
    expect(first).toBe('one ');
    expect((await read(cursor))[0]).toBe('');
    await appendFile(log, 'two ');
    await rename(log, `${log}.1`);
    await writeFile(log, 'three');
    const [second, next] = await read(cursor);
    expect(second).toBe('two three');
    expect((await read(next))[0]).toBe('');
  });

  it('shows no secret', async () => {
    await writeFile(join(directory, 'console.log'), 'login: swordfish\n');
    expect((await read())[0]).toBe('login: [REDACTED]\n');
  });

  it('gives the end when there is more than is asked for', async () => {
    await writeFile(join(directory, 'console.log'), '0123456789');
    expect((await read(undefined, 3))[0]).toBe('789');
  });

  it.each(['', 'x', '1:', '1:99999999999999999999', '-1:-1'])(
    'starts anew at the cursor %j',
    async (cursor) => {
      await writeFile(join(directory, 'console.log'), 'all');
      expect((await read(cursor))[0]).toBe('all');
    },
  );
});
