import { describe, expect, it } from 'vitest';
import { createProgress, progressMode } from './progress.js';

function sink(columns = 80) {
  const written: string[] = [];
  const stream = { isTTY: true, columns, write: (text: string) => written.push(text) > 0 };
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => written.join('') };
}

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

  it('keeps one live line, cut to the terminal, and ends it with the time it took', () => {
    const { stream, text } = sink(40);
    const progress = createProgress('live', stream, { NO_COLOR: '1' });
    progress.update('pull', 'a-very-long-name-of-an-environment', {
      phase: 'download',
      doneBytes: 50,
      totalBytes: 100,
    });
    progress.update('run', 'x', { phase: 'boot' });
    progress.finish();
    const lines = text().split('\n');
    const clear = '\r\u001b[K';
    const head = '[pull] phase=download environment=a-very-long-name-of-an-environment';
    const amount = '  ██████████░░░░░░░░░░ 50 B / 100 B';
    expect(lines[0]?.replace(/\d+ ms$/, 'TIME')).toBe(
      `${clear}${head.slice(0, 39)}${clear}${head}${amount} TIME`,
    );
    expect(lines[1]).toMatch(/\[run\] phase=boot environment=x \d+ ms$/);
    expect(lines[2]).toBe('');
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
