import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyHunks } from './apply-hunks.js';
import { applyBinary } from './binary-hunk.js';
import type { FileVersion } from './file-version.js';
import { formatChange } from './format-patch.js';
import { diffLines, splitLines } from './line-diff.js';
import { parsePatch } from './parse-patch.js';

const file = (content: string | Buffer, executable = false): FileVersion => ({
  kind: 'file',
  executable,
  content: Buffer.from(content as string),
});
const link = (target: string): FileVersion => ({
  kind: 'symlink',
  executable: false,
  content: Buffer.from(target),
});

/** Texts of few different lines: they move, repeat and lose their last newline. */
const text = fc
  .tuple(
    fc.array(fc.constantFrom('a', 'b', 'c', '', 'ü', '-- x', '++ y', 'a\r', ' a'), { maxLength: 40 }),
    fc.boolean(),
  )
  .map(([lines, ends]) => lines.join('\n') + (ends && lines.length > 0 ? '\n' : ''));

let repository: string;
beforeAll(() => {
  repository = mkdtempSync(join(tmpdir(), 'hearth-patch-'));
});
afterAll(() => rmSync(repository, { recursive: true }));

/** What `git apply` makes of the patch. */
function gitApply(old: FileVersion | undefined, patch: string, name: string): FileVersion | undefined {
  const path = join(repository, name);
  rmSync(path, { force: true });
  if (old?.kind === 'symlink') symlinkSync(old.content.toString(), path);
  else if (old !== undefined) {
    writeFileSync(path, old.content);
    chmodSync(path, old.executable ? 0o755 : 0o644);
  }
  const { status, stderr } = spawnSync('git', ['apply', '--whitespace=nowarn', '-'], {
    cwd: repository,
    input: patch,
    env: { PATH: process.env.PATH, GIT_CEILING_DIRECTORIES: tmpdir() },
  });
  if (status !== 0) throw new Error(`git apply: ${stderr.toString()}\n${patch}`);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (stats.isSymbolicLink()) return link(readlinkSync(path));
  return file(readFileSync(path), (stats.mode & 0o100) !== 0);
}

/** What we make of it. */
function apply(old: FileVersion | undefined, patch: string): FileVersion | undefined {
  let present = old;
  for (const { action, hunks, binary, newMode } of parsePatch(Buffer.from(patch))) {
    if (action === 'delete') {
      present = undefined;
      continue;
    }
    const before = present?.content ?? Buffer.alloc(0);
    const after = binary === undefined ? applyHunks(before.toString('latin1'), hunks) : undefined;
    if (after?.ok === false) throw new Error(JSON.stringify(after));
    const content =
      binary === undefined ? Buffer.from(after?.text ?? '', 'latin1') : applyBinary(before, binary);
    if (content === undefined) throw new Error('the bytes do not fit');
    const mode =
      newMode ?? (present?.kind === 'symlink' ? '120000' : present?.executable ? '100755' : '100644');
    present = { kind: mode === '120000' ? 'symlink' : 'file', executable: mode === '100755', content };
  }
  return present;
}

describe('diffLines', () => {
  it.each<[string, string, string, number]>([
    ['nothing', '', '', 0],
    ['the same', 'a\nb\n', 'a\nb\n', 0],
    ['one line more', 'a\nc\n', 'a\nb\nc\n', 1],
    ['one line less', 'a\nb\nc\n', 'a\nc\n', 1],
    ['the end of a file without a newline', 'a', 'a\n', 2],
  ])('%s', (_name, old, next, edits) => {
    const changes = diffLines(splitLines(old), splitLines(next));
    expect(changes.reduce((sum, { oldCount, newCount }) => sum + oldCount + newCount, 0)).toBe(edits);
  });

  it.each([0, 1, 5, 1500])('gives the new text with at most %d edits searched for', (maxEdits) => {
    fc.assert(
      fc.property(text, text, (old, next) => {
        const [before, after] = [splitLines(old), splitLines(next)];
        const result: string[] = [];
        let at = 0;
        for (const change of diffLines(before, after, maxEdits)) {
          result.push(...before.slice(at, change.oldStart));
          result.push(...after.slice(change.newStart, change.newStart + change.newCount));
          at = change.oldStart + change.oldCount;
        }
        expect([...result, ...before.slice(at)].join('')).toBe(next);
      }),
    );
  });

  it('needs no more edits than git does', () => {
    fc.assert(
      fc.property(text, text, (old, next) => {
        writeFileSync(join(repository, 'old'), old);
        writeFileSync(join(repository, 'next'), next);
        const { stdout } = spawnSync('git', ['diff', '--no-index', '--minimal', '--numstat', 'old', 'next'], {
          cwd: repository,
        });
        const [added = 0, removed = 0] = stdout.toString().split('\t').slice(0, 2).map(Number);
        const changes = diffLines(splitLines(old), splitLines(next));
        expect(
          changes.reduce((sum, { oldCount, newCount }) => sum + oldCount + newCount, 0),
        ).toBeLessThanOrEqual(added + removed);
      }),
      { numRuns: 30 },
    );
  });
});

const version = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ content: text.map((content) => Buffer.from(content)), executable: fc.boolean() })
      .map(({ content, executable }) => file(content, executable)),
  },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 300 })
      .map((bytes) => file(Buffer.concat([Buffer.from([0]), bytes]))),
  },
  { weight: 1, arbitrary: fc.constantFrom('a', '../b', '/etc/passwd').map(link) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const isSame = (one: FileVersion | undefined, other: FileVersion | undefined): boolean =>
  one?.kind === other?.kind &&
  one?.executable === other?.executable &&
  (one?.content.equals(other?.content ?? Buffer.alloc(0)) ?? true);

describe('a patch of what changed', () => {
  const names = ['plain', 'with space', 'ümlaut', 'quote"and\\', 'tab\tnewline\n', ' a b', 'b'];

  it('gives the new file where it is applied', () => {
    fc.assert(
      fc.property(version, version, fc.constantFrom(...names), (old, next, name) => {
        fc.pre(!isSame(old, next));
        const path = Buffer.from(name).toString('latin1');
        const { text: patch } = formatChange(path, old, next, { binary: true });
        expect(parsePatch(Buffer.from(patch)).map((one) => one.path)).toContain(path);
        expect(apply(old, patch)).toEqual(next);
      }),
    );
  });

  it('is understood by git apply, which makes the same of it', () => {
    fc.assert(
      fc.property(version, version, fc.constantFrom(...names), (old, next, name) => {
        fc.pre(!isSame(old, next));
        const { text: patch } = formatChange(Buffer.from(name).toString('latin1'), old, next, {
          binary: true,
        });
        expect(gitApply(old, patch, name)).toEqual(next);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves a remark that git passes over where the bytes are left out', () => {
    const change = formatChange('x', undefined, file(Buffer.from([0, 1])), { binary: false });
    expect(change).toMatchObject({ isBinary: true, isComplete: false });
    const both = change.text + formatChange('y', undefined, file('text\n'), { binary: false }).text;
    expect(gitApply(undefined, both, 'y')).toEqual(file('text\n'));
  });

  it('takes binary files away without their bytes', () => {
    const old = file(Buffer.from([0, 1, 2]));
    expect(
      gitApply(old, formatChange('gone', old, undefined, { binary: false }).text, 'gone'),
    ).toBeUndefined();
  });

  it('shows text that is not UTF-8 as binary, so that every patch is text', () => {
    expect(formatChange('x', file('a\n'), file(Buffer.from([0xe4, 10])), { binary: false }).isBinary).toBe(
      true,
    );
  });
});

describe('patches of git itself', () => {
  it.each<[string, string[]]>([
    ['text, binary, modes, links and renames', []],
    ['binary deltas', ['--binary']],
    ['no renames', ['--no-renames', '--binary']],
    ['full index', ['--full-index', '--binary']],
  ])('are read and give the same tree: %s', (_name, options) => {
    const git = (...args: string[]): Buffer =>
      execFileSync(
        'git',
        ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'init.defaultBranch=main', ...args],
        { cwd: directory },
      );
    const directory = mkdtempSync(join(tmpdir(), 'hearth-patch-git-'));
    try {
      const many = Array.from({ length: 200 }, (_, line) => `line ${line}\n`);
      const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 251));
      git('init', '-q');
      writeFileSync(join(directory, 'text'), many.join(''));
      writeFileSync(join(directory, 'moves'), many.join(''));
      writeFileSync(join(directory, 'bytes'), Buffer.concat([Buffer.from([0]), bytes]));
      git('add', '.');
      git('commit', '-qm', 'one');
      writeFileSync(join(directory, 'text'), many.with(3, 'changed\n').with(150, 'too').join(''));
      git('mv', 'moves', 'moved to');
      writeFileSync(join(directory, 'moved to'), many.with(9, 'here\n').join(''));
      if (options.length > 0)
        writeFileSync(join(directory, 'bytes'), Buffer.concat([Buffer.from([0]), bytes, bytes.subarray(7)]));
      chmodSync(join(directory, 'text'), 0o755);
      git('add', '.');
      const patch = git('diff', '--cached', ...options);
      const shown = new Map<string, string>();
      for (const { action, path, from, hunks, binary, newMode } of parsePatch(patch)) {
        if (action === 'delete') continue;
        const old =
          action === 'create'
            ? Buffer.alloc(0)
            : execFileSync('git', ['show', `HEAD:${from ?? path}`], { cwd: directory });
        const applied = binary === undefined ? applyHunks(old.toString('latin1'), hunks) : undefined;
        const content =
          binary === undefined
            ? applied?.ok === true
              ? Buffer.from(applied.text, 'latin1')
              : undefined
            : applyBinary(old, binary);
        shown.set(path, content?.toString('latin1') ?? 'failed');
        if (path === 'text') expect(newMode).toBe('100755');
      }
      for (const [path, content] of shown)
        expect(content).toBe(readFileSync(join(directory, path), 'latin1'));
      expect(shown.size).toBe(options.length > 0 ? 3 : 2);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('parsePatch', () => {
  const hunk = '@@ -1 +1 @@\n-a\n+b\n';
  it.each<[string, string, string]>([
    ['nothing', '', 'PATCH_INVALID'],
    ['no patch', 'hello\n', 'PATCH_INVALID'],
    ['an absolute path', `--- /etc/passwd\n+++ /etc/passwd\n${hunk}`, 'PATH_ESCAPES_ROOT'],
    ['a path that climbs', `--- a/../x\n+++ b/../x\n${hunk}`, 'PATH_ESCAPES_ROOT'],
    [
      'a path that climbs in quotes',
      `--- "a/\\056\\056/x"\n+++ "b/\\056\\056/x"\n${hunk}`,
      'PATH_ESCAPES_ROOT',
    ],
    ['a rename that climbs', 'diff --git a/x b/y\nrename from x\nrename to ../y\n', 'PATH_ESCAPES_ROOT'],
    ['the repository itself', `--- a/.git/config\n+++ b/.git/config\n${hunk}`, 'PATCH_INVALID'],
    ['the repository in capitals', `--- a/.GIT/hooks/x\n+++ b/.GIT/hooks/x\n${hunk}`, 'PATCH_INVALID'],
    ['a NUL in a path', `--- "a/x\\000"\n+++ "b/x\\000"\n${hunk}`, 'PATCH_INVALID'],
    ['two paths', `--- a/x\n+++ b/y\n${hunk}`, 'PATCH_INVALID'],
    ['a hunk without a file', hunk, 'PATCH_INVALID'],
    ['a hunk without numbers', '--- a/x\n+++ b/x\n@@ @@\n-a\n', 'PATCH_INVALID'],
    ['too few lines', '--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n+b\n', 'PATCH_INVALID'],
    ['too many lines', '--- a/x\n+++ b/x\n@@ -1,1 +1,2 @@\n-a\n-b\n', 'PATCH_INVALID'],
    [
      'a binary file without bytes',
      'diff --git a/x b/x\nindex 1..2\nBinary files a/x and b/x differ\n',
      'PATCH_INVALID',
    ],
    ['a submodule', 'diff --git a/x b/x\nnew file mode 160000\n', 'PATCH_INVALID'],
    [
      'damaged bytes',
      'diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 3\nZ!!\n\n',
      'PATCH_INVALID',
    ],
    [
      'more bytes than announced',
      'diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\nLcmZQzU|?VY00IC2\n\n',
      'PATCH_INVALID',
    ],
    ['no change', 'diff --git a/x b/x\nindex 1..2 100644\n', 'PATCH_INVALID'],
  ])('refuses %s', (_name, patch, code) => {
    expect(() => parsePatch(Buffer.from(patch))).toThrow(expect.objectContaining({ code }));
  });

  it.each([
    [100, true],
    [99, false],
  ])('holds to its limit of bytes: %d', (maxBytes, fits) => {
    const patch = Buffer.from(`--- a/x\n+++ b/x\n${hunk}`.padEnd(100, '\n'));
    const parse = (): unknown => parsePatch(patch, { maxBytes, maxFiles: 1 });
    if (fits) expect(parse()).toHaveLength(1);
    else expect(parse).toThrow(expect.objectContaining({ code: 'PATCH_TOO_LARGE' }));
  });

  it('holds to its limit of files', () => {
    const patch = Buffer.from(`--- a/x\n+++ b/x\n${hunk}--- a/y\n+++ b/y\n${hunk}`);
    expect(() => parsePatch(patch, { maxBytes: 1000, maxFiles: 1 })).toThrow(
      expect.objectContaining({ code: 'PATCH_TOO_LARGE' }),
    );
    expect(parsePatch(patch, { maxBytes: 1000, maxFiles: 2 })).toHaveLength(2);
  });

  it('takes plain patches with and without prefixes, times, and remarks around them', () => {
    const plain = `Subject: x\n\n--- x.c\t2020-01-01\n+++ x.c\t2020-01-02\n${hunk}\n-- \n2.39\n`;
    expect(parsePatch(Buffer.from(plain))).toMatchObject([{ action: 'modify', path: 'x.c' }]);
    expect(parsePatch(Buffer.from(`--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+b\n`))).toMatchObject([
      { action: 'create', path: 'new' },
    ]);
  });

  it('never throws anything but its own errors', () => {
    const words = fc.constantFrom(
      'diff --git a/x b/x\n',
      '--- a/x\n',
      '+++ b/x\n',
      '@@ -1,2 +1 @@\n',
      '-a\n',
      '+b\n',
      ' c\n',
      '\\ No newline at end of file\n',
      'GIT binary patch\n',
      'literal 3\n',
      'delta 3\n',
      'LcmZQzU|?VY00IC2\n',
      '\n',
      'rename from x\n',
      'rename to y\n',
      'new file mode 100644\n',
      'index 0..1\n',
      'x',
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
        try {
          parsePatch(Buffer.from(parts.join('')));
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^PATCH_|^PATH_/) });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('applyHunks', () => {
  const hunksOf = (body: string) => parsePatch(Buffer.from(`--- a/x\n+++ b/x\n${body}`))[0]?.hunks ?? [];

  it('finds lines that have moved, the nearest first', () => {
    const hunks = hunksOf('@@ -2,2 +2,2 @@\n x\n-y\n+z\n');
    expect(applyHunks('0\n1\n2\nx\ny\nx\ny\n', hunks)).toEqual({ ok: true, text: '0\n1\n2\nx\nz\nx\ny\n' });
  });

  it('says what is not as it should be, and where', () => {
    const hunks = hunksOf('@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n');
    expect(applyHunks('a\nx\nc\n', hunks)).toEqual({
      ok: false,
      hunk: 1,
      line: 2,
      expected: 'b\n',
      found: 'x\n',
    });
    expect(applyHunks('', hunks)).toMatchObject({ ok: false, line: 1, found: undefined });
  });

  it('does not use a line twice', () => {
    const hunks = hunksOf('@@ -1 +1 @@\n-a\n+b\n@@ -2 +2 @@\n-a\n+c\n');
    expect(applyHunks('a\n', hunks)).toMatchObject({ ok: false, hunk: 2 });
    expect(applyHunks('a\na\n', hunks)).toEqual({ ok: true, text: 'b\nc\n' });
  });
});
