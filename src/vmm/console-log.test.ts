import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConsoleLog, escapeControl } from './console-log.js';

describe('ConsoleLog', () => {
  let directory: string;
  let path: string;
  let source: PassThrough;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-console-'));
    path = join(directory, 'console.log');
    source = new PassThrough();
  });
  afterEach(() => rm(directory, { recursive: true }));

  const end = async (log: ConsoleLog): Promise<void> => {
    source.end();
    await log.close();
  };

  it('keeps what was said in the file and its end at hand', async () => {
    const log = ConsoleLog.record(source, path);
    source.write('one\r\ntwo\n');
    await end(log);
    expect(log.tail(1000)).toBe('one\ntwo\n');
    expect(log.tail(3)).toBe('wo\n');
    expect(log.tail(0)).toBe('');
    expect(await readFile(path, 'utf8')).toBe('one\r\ntwo\n');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('never grows past its bounds and keeps the latest', async () => {
    const log = ConsoleLog.record(source, path);
    const chunk = Buffer.alloc(50_000, 'x');
    for (let index = 0; index < 100; index += 1) {
      source.write(chunk);
      if (index % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    source.write('the end');
    await end(log);
    expect(log.tail(7)).toBe('the end');
    expect(log.tail(10 ** 9).length).toBe(64 * 1024);
    const files = [await stat(path), await stat(`${path}.1`)];
    for (const { size } of files) expect(size).toBeLessThanOrEqual(1024 * 1024 + 100);
  });

  it('counts what it could not keep up with', async () => {
    const log = ConsoleLog.record(source, path);
    // All at once, before the file can be written.
    for (let index = 0; index < 8; index += 1) source.write(Buffer.alloc(60_000, 'x'));
    await end(log);
    const text = await readFile(path, 'latin1');
    const dropped = Number(/\[hearth: (\d+) bytes dropped here\]/.exec(text)?.[1]);
    expect(dropped + text.replaceAll(/[^x]/g, '').length).toBe(8 * 60_000);
  });

  it('goes on without a file when there can be none', async () => {
    const log = ConsoleLog.record(source, join(directory, 'missing', 'console.log'));
    source.write('said');
    await end(log);
    expect(log.tail(100)).toBe('said');
  });

  it('does not wait for ever for a console that does not end', async () => {
    const log = ConsoleLog.record(source, path);
    source.write('said');
    await log.close();
    expect(await readFile(path, 'utf8')).toBe('said');
  });
});

describe('escapeControl', () => {
  it.each([
    ['plain\ttext\n', 'plain\ttext\n'],
    ['a\r\nb\rc', 'a\nb\\x0dc'],
    ['\u001b]52;c;x\u0007', '\\x1b]52;c;x\\x07'],
    ['\u009b31m', '\\x9b31m'],
    ['\u007f\u0000', '\\x7f\\x00'],
  ])('%j', (text, safe) => {
    expect(escapeControl(text)).toBe(safe);
  });
});
