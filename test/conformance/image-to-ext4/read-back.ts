/** Reads file systems back with programs that we did not write: the kernel, debugfs, and unpacked directories. */
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface BackNode {
  /** From the root, with a leading slash; latin1. The root is `''`. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly sizeBytes: number;
  /** Of files up to 1 MiB, latin1; else ''. */
  readonly body: string;
  readonly target: string;
  readonly device: string;
  readonly linkCount: number;
  readonly inode: number;
  /** Name → value in hexadecimal. */
  readonly xattrs: Readonly<Record<string, string>>;
}

const MAX_BODY_BYTES = 1024 * 1024;
const KINDS: Readonly<Record<number, BackNode['kind']>> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
};

/** Runs a program to its end. Throws what it said when it fails. */
export function run(command: string, args: readonly string[], okExitCodes: readonly number[] = [0]): string {
  const result = spawnSync(command, args, { encoding: 'latin1', maxBuffer: 256 * 1024 * 1024 });
  if (result.error !== undefined) throw result.error;
  if (!okExitCodes.includes(result.status ?? -1)) {
    throw new Error(`${command} ${args.join(' ')}: exit ${result.status}: ${result.stderr}${result.stdout}`);
  }
  return result.stdout;
}

/** Throws when e2fsck finds anything at all to say against the image. */
export function assertClean(imagePath: string): void {
  run('e2fsck', ['-fn', imagePath]);
}

/** Mounts the image read-only and reads the tree through the kernel. Needs root. */
export function readMounted(imagePath: string): BackNode[] {
  const mountPoint = mkdtempSync(join(tmpdir(), 'hearth-mount-'));
  try {
    run('mount', ['-o', 'loop,ro', imagePath, mountPoint]);
    try {
      return readDirectory(mountPoint);
    } finally {
      run('umount', [mountPoint]);
    }
  } finally {
    rmSync(mountPoint, { recursive: true });
  }
}

/** Every name below a directory, sorted; `lost+found` of an ext4 root is left out. */
export function readDirectory(root: string): BackNode[] {
  const xattrs = readXattrs(root);
  const nodes: BackNode[] = [];
  const pending = [''];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const host = Buffer.from(`${root}${path}`, 'latin1');
    const stat = lstatSync(host, { bigint: true });
    const kind = KINDS[Number(stat.mode) >> 12] ?? 'socket';
    const isDevice = kind === 'character' || kind === 'block';
    nodes.push({
      path,
      kind,
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtimeNs: stat.mtimeNs,
      sizeBytes: kind === 'file' ? Number(stat.size) : 0,
      body: kind === 'file' && stat.size <= MAX_BODY_BYTES ? readFileSync(host).toString('latin1') : '',
      target: kind === 'symlink' ? readlinkSync(host, { encoding: 'buffer' }).toString('latin1') : '',
      device: isDevice ? deviceOf(stat.rdev) : '',
      linkCount: Number(stat.nlink),
      inode: Number(stat.ino),
      xattrs: xattrs.get(`${root}${path}`) ?? {},
    });
    if (kind !== 'directory') continue;
    for (const name of readdirSync(host, { encoding: 'buffer' })) {
      if (path === '' && name.toString() === 'lost+found') continue;
      pending.push(`${path}/${name.toString('latin1')}`);
    }
  }
  return nodes.sort(byPath);
}

/** Source of the packing: linux/kdev_t.h, new_encode_dev. */
function deviceOf(rdev: bigint): string {
  const major = Number((rdev >> 8n) & 0xfffn);
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n));
  return `${major},${minor}`;
}

function readXattrs(root: string): Map<string, Record<string, string>> {
  const text = run('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', root]);
  const found = new Map<string, Record<string, string>>();
  for (const block of text.split('\n\n')) {
    const lines = block.split('\n').filter((line) => line !== '');
    const path = unescaped(lines.shift()?.replace('# file: ', '') ?? '');
    found.set(
      path,
      Object.fromEntries(
        lines.map((line) => {
          const equals = line.indexOf('=');
          return equals === -1 ? [line, ''] : [unescaped(line.slice(0, equals)), line.slice(equals + 3)];
        }),
      ),
    );
  }
  return found;
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** Reads the tree with debugfs: no root needed. Attributes are not read. */
export function readWithDebugfs(imagePath: string): BackNode[] {
  const work = mkdtempSync(join(tmpdir(), 'hearth-debugfs-'));
  try {
    const nodes: BackNode[] = [];
    let level: Array<[path: string, inode: number]> = [['', 2]];
    while (level.length > 0) {
      const inodes = [...new Set(level.map(([, inode]) => inode))];
      const answers = debugfs(
        work,
        imagePath,
        inodes.flatMap((inode) => [
          `stat <${inode}>`,
          `ls -p <${inode}>`,
          `dump <${inode}> ${work}/${inode}`,
        ]),
      );
      const next: typeof level = [];
      for (const [path, inode] of level) {
        const node = nodeOfStat(path, inode, answers.get(`stat <${inode}>`) ?? '', `${work}/${inode}`);
        nodes.push(node);
        if (node.kind !== 'directory') continue;
        for (const line of (answers.get(`ls -p <${inode}>`) ?? '').split('\n')) {
          const [, number, , , , name] = /^\/(\d+)\/(\d+)\/(-?\d+)\/(-?\d+)\/(.*)\/\d*\/$/.exec(line) ?? [];
          const isOwn =
            name === undefined || name === '.' || name === '..' || (path === '' && name === 'lost+found');
          if (!isOwn && number !== '0') next.push([`${path}/${name}`, Number(number)]);
        }
      }
      level = next;
    }
    return nodes.sort(byPath);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function debugfs(work: string, imagePath: string, commands: readonly string[]): Map<string, string> {
  const script = join(work, 'commands');
  writeFileSync(script, `${commands.join('\n')}\n`);
  const answers = new Map<string, string>();
  for (const answer of run('debugfs', ['-f', script, imagePath]).split(/^debugfs: /m)) {
    const newline = answer.indexOf('\n');
    if (newline !== -1) answers.set(answer.slice(0, newline).trim(), answer.slice(newline + 1));
  }
  return answers;
}

const DEBUGFS_KINDS: Readonly<Record<string, BackNode['kind']>> = {
  regular: 'file',
  directory: 'directory',
  symlink: 'symlink',
  'character special': 'character',
  'block special': 'block',
  FIFO: 'fifo',
  socket: 'socket',
};

function nodeOfStat(path: string, inode: number, text: string, dumpPath: string): BackNode {
  const field = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? '';
  const kind = DEBUGFS_KINDS[field(/Type: (.+?)\s+Mode:/)];
  if (kind === undefined) throw new Error(`debugfs: no inode ${inode} for ${path}: ${text}`);
  const sizeBytes = Number(field(/Size: (\d+)\n/));
  const [, seconds = '0', extra = '0'] = /mtime: 0x([0-9a-f]+):([0-9a-f]+)/.exec(text) ?? [];
  const high = BigInt(`0x${extra}`);
  const fast = /Fast link dest: "(.*)"\n/s.exec(text)?.[1];
  return {
    path,
    kind,
    mode: parseInt(field(/Mode: +([0-7]+)/), 8),
    uid: Number(field(/User: +(-?\d+)/)) >>> 0,
    gid: Number(field(/Group: +(-?\d+)/)) >>> 0,
    mtimeNs:
      (BigInt.asIntN(32, BigInt(`0x${seconds}`)) + ((high & 3n) << 32n)) * 1_000_000_000n + (high >> 2n),
    sizeBytes: kind === 'file' ? sizeBytes : 0,
    body:
      kind === 'file' && sizeBytes > 0 && sizeBytes <= MAX_BODY_BYTES
        ? readFileSync(dumpPath).toString('latin1')
        : '',
    target: kind === 'symlink' ? (fast ?? readFileSync(dumpPath).toString('latin1')) : '',
    device: field(/New-style|major\/minor number: (\d+:\d+)/)
      .split(':')
      .map(Number)
      .join(','),
    linkCount: Number(field(/Links: (\d+)/)),
    inode,
    xattrs: {},
  };
}

function byPath(a: BackNode, b: BackNode): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

/** The lines of `MERGE_CASES`. */
export function linesOf(nodes: readonly BackNode[]): string[] {
  const numbers = new Map<number, number>();
  return nodes
    .filter(({ path }) => path !== '')
    .map((node) => {
      if (node.kind === 'directory') return `${node.path}/`;
      if (node.kind === 'symlink') return `${node.path} -> ${node.target}`;
      if (!numbers.has(node.inode)) numbers.set(node.inode, numbers.size);
      return `${node.path} = ${node.kind === 'file' ? node.body : node.kind} #${numbers.get(node.inode)}`;
    });
}
