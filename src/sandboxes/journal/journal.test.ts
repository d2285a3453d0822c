import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sandbox } from '../sandbox.js';
import { Redactor } from '../secrets/redactor.js';
import { Journal } from './journal.js';

const CREATED = '2020-01-02T03:04:05.678Z';
const SECRET = 's3cr3t-of-the-test';
let directory: string;
let journal: Journal;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-journal-'));
  const record = { createdAt: CREATED, startedAt: null, stoppedAt: null };
  const secrets = { redactor: async () => new Redactor([SECRET]) };
  journal = new Journal(() => ({ directory, record, secrets }) as unknown as Sandbox);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const did = async (operation: string, text = ''): Promise<void> => journal.record('x', { operation, text });

describe('Journal', () => {
  it('has nothing where nothing happened', async () => {
    expect(await journal.history('x')).toEqual({ events: [], since: CREATED, truncated: false });
    expect(await journal.lastActiveAt('x')).toBe(CREATED);
  });

  it('gives events in order, of which only the owner can read the file', async () => {
    await Promise.all([did('exec.start', 'one'), did('file.write', 'two')]);
    expect((await journal.history('x')).events).toMatchObject([{ text: 'one' }, { text: 'two' }]);
    expect((await stat(join(directory, 'journal.jsonl'))).mode & 0o777).toBe(0o600);
    expect(await journal.lastActiveAt('x')).not.toBe(CREATED);
  });

  it('has [REDACTED] where a secret stood, also where the text is cut', async () => {
    await did('exec.start', `login ${SECRET}`);
    await did('shell.write', `${'x'.repeat(490)} ${SECRET}`);
    expect((await journal.history('x')).events).toMatchObject([
      { text: 'login [REDACTED]' },
      { text: `${'x'.repeat(490)} [REDACTED…` },
    ]);
    expect(await readFile(join(directory, 'journal.jsonl'), 'utf8')).not.toContain('s3cr3t');
  });

  it.each(['sandbox.reset', 'workspace.reset'])('begins again after %s', async (operation) => {
    await did('exec.start', 'before');
    await did(operation);
    await did('exec.start', 'after');
    const { events, since, truncated } = await journal.history('x');
    expect(events).toMatchObject([{ text: 'after' }]);
    expect(since > CREATED).toBe(true);
    expect(truncated).toBe(false);
  });

  it('is bounded, says so, and cuts long texts', async () => {
    for (let count = 0; count < 3000; count += 1) await did('exec.start', `${count} ${'x'.repeat(600)}`);
    const { events, truncated } = await journal.history('x');
    expect(truncated).toBe(true);
    expect(events.at(-1)?.text).toMatch(/^2999 x+…$/);
    expect(events.at(-1)?.text.length).toBe(501);
    for (const name of ['journal.jsonl', 'journal.jsonl.1']) {
      expect((await readFile(join(directory, name))).byteLength).toBeLessThanOrEqual(512 * 1024);
    }
  });

  it.each(['', '{"at":1', 'null\n', '[]\n', '{"at":"x"}\n'])(
    'leaves out what is no event: %j',
    async (line) => {
      await writeFile(join(directory, 'journal.jsonl'), line);
      expect((await journal.history('x')).events).toEqual([]);
    },
  );

  it('keeps nobody from working when it cannot write', async () => {
    await rm(directory, { recursive: true });
    await expect(did('exec.start')).resolves.toBeUndefined();
  });
});
