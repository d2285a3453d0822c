import { describe, expect, it } from 'vitest';
import { createProgress, progressMode } from './progress.js';

function sink(columns = 80) {
  const written: string[] = [];
  const stream = { isTTY: true, columns, write: (text: string) => written.push(text) > 0 };
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => written.join('') };
}

/** Control characters and times by name. */
const visible = (text: string): string =>
  text
    .replaceAll('\u001b', 'ESC')
    .replaceAll('\r', 'CR ')
    .replaceAll(/\d+ ms/g, 'TIME');

describe('progressMode', () => {
  it.each([
    [undefined, { isTTY: true }, {}, 'live'],
    [undefined, {}, {}, 'plain'],
    [undefined, { isTTY: true }, { CI: '1' }, 'plain'],
    ['auto', {}, {}, 'plain'],
    ['none', { isTTY: true }, {}, 'none'],
    ['live', {}, {}, 'live'],
  ])('%s %j %j', (requested, stderr, env, mode) => {
    expect(progressMode(requested, stderr, env, 'plain')).toBe(mode);
  });

  it('refuses another word', () => {
    expect(() => progressMode('loud', {}, {}, 'none')).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID' }),
    );
  });
});

describe('progress', () => {
  it('PY-44: prints one marker line a phase where no terminal is', () => {
    const { stream, text } = sink();
    const progress = createProgress('plain', stream, {});
    progress.update('pull', 'debian:12', { phase: 'install' });
    progress.update('pull', 'debian:12', { phase: 'install', doneBytes: 5, totalBytes: 10 });
    progress.update('pull', 'debian:12', { phase: 'ready', note: 'oci\u001b[31m' });
    progress.finish();
    expect(text()).toBe(
      '[pull] phase=install environment=debian:12\n[pull] phase=ready environment=debian:12 (oci\\x1b[31m)\n',
    );
  });

  it('prints each phase once, also when two go on side by side', () => {
    const { stream, text } = sink();
    const progress = createProgress('plain', stream, {});
    for (const phase of ['download', 'convert', 'download', 'convert'])
      progress.update('build', 'x', { phase });
    expect(text()).toBe('[build] phase=download environment=x\n[build] phase=convert environment=x\n');
  });

  it('keeps one live line a phase, cut to the terminal, and ends each with the time it took', () => {
    const { stream, text } = sink(60);
    const progress = createProgress('live', stream, { NO_COLOR: '1' });
    const download = { phase: 'download', doneBytes: 50, totalBytes: 100 };
    progress.update('pull', 'x', download);
    progress.update('pull', 'x', { phase: 'kernel', note: `a long note ${'.'.repeat(60)}` });
    progress.finish();
    const lines = visible(text()).split('\n');
    expect(lines[0]).toBe('CR ESC[K[pull] phase=download environment=x  ██████████░░░░░░░░░░ 5');
    expect(lines[1]).toMatch(/^ESC\[1ACR ESC\[K\[pull\] phase=download .* TIME$/);
    expect(lines[2]).toBe(`CR ESC[K[pull] phase=kernel environment=x (a long note ${'.'.repeat(12)}`);
    expect(lines[3]).toMatch(/^ESC\[2ACR .* TIME$/);
    expect(lines[4]).toMatch(/^CR .*phase=kernel.*\. TIME$/);
    expect(lines[5]).toBe('');
  });

  it('starts afresh below a note', () => {
    const { stream, text } = sink();
    const progress = createProgress('live', stream, { NO_COLOR: '1' });
    progress.update('run', 'x', { phase: 'boot' });
    progress.note('by the way');
    progress.update('run', 'x', { phase: 'exec' });
    progress.finish();
    progress.finish();
    expect(visible(text()).match(/ESC\[\d+A/g)).toHaveLength(2);
    expect(text()).toContain('\nby the way\n');
  });

  it('is silent with none', () => {
    const { stream, text } = sink();
    const progress = createProgress('none', stream, {});
    progress.update('pull', 'x', { phase: 'install' });
    progress.note('x');
    progress.finish();
    expect(text()).toBe('');
  });
});
