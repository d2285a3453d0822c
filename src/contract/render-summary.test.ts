import { describe, expect, it } from 'vitest';
import { commandLine } from './journalled-service.js';
import { renderSummary } from './render-summary.js';

const EMPTY = {
  id: '0123456789ab',
  name: 'dev',
  environment: 'debian:12',
  state: 'running',
  since: '2026-01-02T03:04:05.678Z',
  events: [],
  omittedEvents: 0,
  truncated: false,
  commandCount: 0,
  failedCommandCount: 0,
  changes: null,
  services: [],
  snapshots: [],
};
const at = EMPTY.since;

describe('renderSummary', () => {
  it('says little of a sandbox in which nothing happened', () => {
    expect(renderSummary(EMPTY)).toBe(
      '# dev: what happened since 2026-01-02T03:04:05.678Z\n\ndebian:12, running. 0 commands.\n',
    );
  });

  it('has a section for everything there is', () => {
    const text = renderSummary({
      ...EMPTY,
      events: [
        { at, operation: 'exec.start', text: 'make test', exitCode: 2 },
        { at, operation: 'patch.apply', text: 'a.py' },
        { at, operation: 'sandbox.stop', text: '' },
      ],
      commandCount: 1,
      failedCommandCount: 1,
      omittedEvents: 4,
      changes: [{ path: 'a.py', change: 'modified', addedLines: 1, removedLines: 2 }],
      snapshots: ['before'],
    });
    expect(text.split('\n').slice(2)).toEqual([
      'debian:12, running. 1 commands, 1 failed. Older events are left out.',
      '',
      '## Changes',
      '',
      '- modified `a.py` (+1 -2)',
      '',
      '## Commands',
      '',
      '- `make test` → 2',
      '',
      '## Other work',
      '',
      '- patch.apply `a.py`',
      '- sandbox.stop',
      '',
      '## Snapshots',
      '',
      '- `before`',
      '',
    ]);
  });

  it('lets no name of a guest break out of its place', () => {
    const text = renderSummary({ ...EMPTY, snapshots: ['a\n# b', 'x`y``z'] });
    expect(text).toContain('- `a # b`\n- `` x`y`z ``\n');
  });

  it('shows the last of many', () => {
    const snapshots = Array.from({ length: 51 }, (_, index) => `s${index}`);
    expect(renderSummary({ ...EMPTY, snapshots })).toContain('\n- … 1 before\n- `s1`\n');
  });
});

describe('commandLine', () => {
  it.each([
    [['ls', '-la', '/a/b.c'], 'ls -la /a/b.c'],
    [['sh', '-c', 'echo "$A"'], `sh -c 'echo "$A"'`],
    [["it's", ''], `'it'\\''s' ''`],
  ])('%j', (argv, wanted) => {
    expect(commandLine(argv)).toBe(wanted);
  });
});
