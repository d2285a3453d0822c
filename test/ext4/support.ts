/** Builds images from short descriptions of trees and asks programs we did not write what they think of them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  createExt4Image,
  type Ext4Directory,
  type Ext4File,
  type Ext4FileData,
  type Ext4FinishOptions,
  type Ext4ImageWriter,
  type Ext4Node,
  type Ext4Special,
  type Ext4Summary,
  type Ext4Symlink,
} from '../../src/ext4/index.js';

const UUID = Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i);
const HASH_SEED = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 ^ (i * 7));
export const OPTIONS: Ext4FinishOptions = {
  uuid: UUID,
  hashSeed: HASH_SEED,
  createdAt: { seconds: 1_700_000_000, nanoseconds: 0 },
};

type Common = Partial<Pick<Ext4Node, 'mode' | 'uid' | 'gid' | 'mtime' | 'xattrs'>>;

function common(fields: Common, mode: number) {
  const mtime = { seconds: 1_600_000_000, nanoseconds: 123_456_789 };
  return { mode, uid: 0, gid: 0, mtime, xattrs: undefined, ...fields };
}

export function directory(children: Record<string, Ext4Node> = {}, fields: Common = {}): Ext4Directory {
  return { kind: 'directory', children: new Map(Object.entries(children)), ...common(fields, 0o755) };
}

export function file(data: Ext4FileData, fields: Common = {}): Ext4File {
  return { kind: 'file', data, ...common(fields, 0o644) };
}

export function symlink(target: string | Uint8Array, fields: Common = {}): Ext4Symlink {
  return { kind: 'symlink', target: Buffer.from(target), ...common(fields, 0o777) };
}

export function special(kind: Ext4Special['kind'], fields: Common = {}): Ext4Special {
  return { kind, ...common(fields, 0o600) };
}

export function device(
  kind: 'character' | 'block',
  major: number,
  minor: number,
  fields: Common = {},
): Ext4Node {
  return { kind, major, minor, ...common(fields, 0o600) };
}

export const EMPTY: Ext4FileData = { sizeBytes: 0, extents: [] };

/** A scratch directory that goes away with the `using` block. */
export class Scratch implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'hearth-ext4-'));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Writes an image; `fill` stores the bodies and gives the tree. */
export function build(
  path: string,
  fill: (writer: Ext4ImageWriter) => Ext4Directory,
  options: Partial<Ext4FinishOptions> = {},
): Ext4Summary {
  using writer = createExt4Image(path);
  return writer.finish(fill(writer), { ...OPTIONS, ...options });
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function end(command: string, args: readonly string[], input?: string): Ended {
  const result = spawnSync(command, args, { encoding: 'latin1', maxBuffer: 2 ** 28, input });
  if (result.error) throw result.error;
  return result;
}

/** Runs a program; returns its output as latin1, throws unless it exits with 0. */
export function run(command: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = end(command, args, input);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** Fails unless e2fsck finds nothing at all to say against the image. */
export function expectClean(path: string): void {
  const { status, stdout } = end('e2fsck', ['-fn', path]);
  const complaints = stdout
    .split('\n')
    .filter((line) => line !== '' && !/^Pass \d|: \d+\/\d+ files .* blocks$/.test(line));
  expect({ status, complaints: complaints.slice(0, 20) }).toEqual({ status: 0, complaints: [] });
}

export function debugfs(path: string, ...requests: string[]): string {
  return run('debugfs', ['-f', '-', path], requests.join('\n'));
}
