import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EgressEvent } from '../../network/index.js';
import { EgressJournal, readEgressJournal } from './egress-journal.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-journal-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const event = (id: number, decision: 'allowed' | 'denied' = 'allowed', host = 'a.test'): EgressEvent => ({
  at: '2026-01-02T03:04:05.678Z',
  id,
  kind: 'connect',
  host,
  port: 443,
  ...(decision === 'allowed'
    ? { decision, reason: 'completed' as const }
    : { decision, reason: 'host-not-allowed' as const }),
  bytesUp: 0,
  bytesDown: 0,
  durationMs: 1,
});
const read = (cursor?: string, maxBytes = 100_000) => readEgressJournal(directory, { maxBytes, cursor });

describe('EgressJournal', () => {
  it('has nothing where nothing happened', async () => {
    expect((await read()).events).toEqual([]);
  });

  it('gives each event once, in order, also to one that follows and after it was closed', async () => {
    const journal = new EgressJournal(directory);
    journal.record(event(1));
    const first = await read();
    expect(first.events).toEqual([event(1)]);
    journal.record(event(2));
    journal.close();
    journal.record(event(3));
    expect((await read(first.cursor)).events).toEqual([event(2), event(3)]);
    expect((await stat(join(directory, 'egress.jsonl'))).mode & 0o777).toBe(0o600);
  });

  it('is bounded by two files, and keeps the newest', async () => {
    const journal = new EgressJournal(directory);
    const host = 'x'.repeat(100_000);
    for (let id = 1; id <= 100; id += 1) journal.record(event(id, 'allowed', host));
    const sizes = await Promise.all(
      ['egress.jsonl', 'egress.jsonl.1'].map(async (name) => (await stat(join(directory, name))).size),
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect((await read()).events.map(({ id }) => id)).toEqual([]);
    expect((await read(undefined, 250_000)).events.map(({ id }) => id)).toEqual([99, 100]);
  });

  it('counts a flood of refusals instead of listing it, and never what was allowed', async () => {
    let now = 0;
    const journal = new EgressJournal(directory, () => now);
    for (let id = 1; id <= 600; id += 1) journal.record(event(id, 'denied'));
    journal.record(event(601));
    now += 20;
    journal.record(event(602, 'denied'));
    journal.record(event(603, 'denied'));
    const { events } = await read(undefined, 1_000_000);
    expect(events.slice(0, 500).map(({ id }) => id)).toEqual(Array.from({ length: 500 }, (_, n) => n + 1));
    expect(events.slice(500)).toEqual([{ ...event(601), omittedBefore: 100 }, event(602, 'denied')]);
  });

  it('throws when it cannot write, so that the connection does not go on', () => {
    const journal = new EgressJournal(join(directory, 'gone'));
    expect(() => journal.record(event(1))).toThrow('ENOENT');
  });

  it.each(['', '{"id":1', 'null\n', '[]\n', '"x"\n'])('leaves out what is no event: %j', async (line) => {
    await writeFile(join(directory, 'egress.jsonl'), line);
    expect((await read()).events).toEqual([]);
  });
});
