/** A template directory, a clones directory and fake resize programs in a temporary directory. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { RootfsRegistry, type RootfsRegistryOptions } from '../../src/disks/index.js';

export interface Bench {
  readonly root: string;
  readonly templateDir: string;
  readonly clonesDir: string;
  readonly registry: RootfsRegistry;
  /** A second registry on the same directories, as another process would have. */
  another(options?: Partial<RootfsRegistryOptions>): RootfsRegistry;
  /** Writes `<template dir>/<name>/rootfs.ext4` and returns its path. */
  putTemplate(name: string, bytes: Uint8Array | string): string;
  /** A program that notes its arguments, one a line, in `calls` and then does as the script says. */
  fakeResize2fs(script: string): string;
  /** The arguments of every call of a fake program so far. */
  calls(): string[];
}

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** @param parent Where the temporary directory is made: a mounted file system, for example. */
export function openBench(parent: string = tmpdir(), options: Partial<RootfsRegistryOptions> = {}): Bench {
  const root = mkdtempSync(join(parent, 'hearth-disks-'));
  roots.push(root);
  const templateDir = join(root, 'templates');
  const clonesDir = join(root, 'clones');
  const log = join(root, 'calls');
  const settings = {
    templateDir,
    clonesDir,
    resize2fsPath: '/nonexistent/resize2fs',
    onWarning: () => undefined,
    ...options,
  };
  return {
    root,
    templateDir,
    clonesDir,
    registry: new RootfsRegistry(settings),
    another: (more = {}) => new RootfsRegistry({ ...settings, ...more }),
    putTemplate(name, bytes) {
      mkdirSync(join(templateDir, name), { recursive: true });
      const path = join(templateDir, name, 'rootfs.ext4');
      writeFileSync(path, bytes);
      return path;
    },
    fakeResize2fs(script) {
      const path = join(root, 'fake-resize2fs');
      writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$@" >> '${log}'\n${script}\n`);
      chmodSync(path, 0o755);
      return path;
    },
    calls: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []),
  };
}
