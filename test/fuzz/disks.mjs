// Targets of the fuzzer for what guests leave on disks and send as archives: file systems and unpacking.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createExt4Image, Ext4Reader } from '../../dist/ext4/index.js';
import { unpackTree } from '../../dist/hostfs/index.js';
import { encodeTarEntry, TAR_END, tarPadding } from '../../dist/tar/index.js';
import { assert, mutated, outcome } from './chance.mjs';

const BLOCK_BYTES = 4096;
const IMAGE_BYTES = 16 * 1024 * 1024;
const ZEROS = Buffer.alloc(BLOCK_BYTES);
const MAX_FILES = 300;
const MAX_READ_BYTES = 64 * 1024;

/** What `outcome` does, for what is awaited. */
async function settled(body) {
  try {
    await body();
  } catch (error) {
    outcome(() => {
      throw error;
    });
  }
}

let image;

/** A small file system, and the blocks of it that are not empty. */
function sample() {
  if (image !== undefined) return image;
  const directory = mkdtempSync(join(tmpdir(), 'hearth-fuzz-'));
  const path = join(directory, 'image');
  const base = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 1, nanoseconds: 2 }, xattrs: undefined };
  const writer = createExt4Image(path);
  try {
    const children = new Map();
    for (let count = 0; count < 200; count += 1) {
      children.set(`name-${count}`, { ...base, kind: 'symlink', target: Buffer.from('x'.repeat(count + 1)) });
    }
    const xattrs = new Map([['user.a', Buffer.alloc(500, 1)]]);
    const root = {
      ...base,
      kind: 'directory',
      children: new Map([
        ['d', { ...base, kind: 'directory', children, xattrs }],
        ['e', { ...base, kind: 'directory', children: new Map() }],
        ['n', { ...base, kind: 'character', major: 1, minor: 3 }],
      ]),
    };
    const uuid = Buffer.alloc(16, 1);
    writer.finish(root, {
      uuid,
      hashSeed: uuid,
      sizeBytes: IMAGE_BYTES,
      createdAt: { seconds: 1, nanoseconds: 0 },
    });
  } finally {
    writer[Symbol.dispose]();
  }
  const bytes = readFileSync(path);
  rmSync(directory, { recursive: true });
  const used = [];
  for (let block = 0; block < bytes.byteLength / BLOCK_BYTES; block += 1) {
    const start = block * BLOCK_BYTES;
    if (!bytes.subarray(start, start + BLOCK_BYTES).equals(ZEROS)) used.push(block);
  }
  image = { bytes, used };
  return image;
}

/** Reads everything that can be reached, within limits. */
async function readAll(source) {
  const files = await Ext4Reader.open(source);
  const seen = new Set();
  const queue = [await files.root()];
  let count = 0;
  for (let next = queue.shift(); next !== undefined && count < MAX_FILES; next = queue.shift()) {
    if (seen.has(next.number)) continue;
    seen.add(next.number);
    for await (const { name, inode } of files.entries(next)) {
      count += 1;
      if (count > MAX_FILES) break;
      assert(name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name), `the name ${name}`);
      await settled(async () => {
        const found = await files.inode(inode);
        assert(Number.isSafeInteger(found.sizeBytes) && found.sizeBytes >= 0, 'a size that is none');
        await files.xattrs(found);
        if (found.kind === 'directory') queue.push(found);
        if (found.kind === 'symlink') assert(!(await files.target(found)).includes('\0'), 'a NUL in a link');
        if (found.kind !== 'file') return;
        let read = 0;
        for await (const piece of files.content(found)) {
          read += piece.byteLength;
          if (read > MAX_READ_BYTES) break;
        }
      });
    }
  }
}

export const targets = {
  async ext4(random) {
    const { bytes, used } = sample();
    const patches = new Map();
    for (let count = 1 + random.below(6); count > 0; count -= 1) {
      const block = random.chance(20) ? 0 : random.pick(used);
      const old = patches.get(block) ?? bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
      const next = Buffer.alloc(BLOCK_BYTES);
      const changed = Buffer.from(old);
      const at = (block === 0 ? 1024 + random.below(1024) : random.below(BLOCK_BYTES)) & ~3;
      if (random.chance(70)) {
        const value = random.pick([
          0,
          1,
          2,
          7,
          11,
          0xffff,
          0xf30a,
          0x7fffffff,
          0xffffffff,
          random.below(2 ** 31),
        ]);
        changed.writeUInt32LE(value >>> 0, Math.min(at, BLOCK_BYTES - 4));
        changed.copy(next);
      } else {
        mutated(changed, random).copy(next);
      }
      patches.set(block, next);
    }
    // Sometimes as after a power cut.
    if (random.chance(30)) {
      const first = Buffer.from(patches.get(0) ?? bytes.subarray(0, BLOCK_BYTES));
      first.writeUInt32LE((first.readUInt32LE(1024 + 96) | 4) >>> 0, 1024 + 96);
      patches.set(0, first);
    }
    const source = {
      sizeBytes: bytes.byteLength,
      async read(into, position) {
        assert(position >= 0 && position + into.byteLength <= bytes.byteLength, 'read beyond the disk');
        bytes.copy(into, 0, position, position + into.byteLength);
        for (const [block, patch] of patches) {
          const start = block * BLOCK_BYTES;
          const from = Math.max(start, position);
          const to = Math.min(start + BLOCK_BYTES, position + into.byteLength);
          if (from < to) patch.copy(into, from - position, from - start, to - start);
        }
      },
    };
    await settled(() => readAll(source));
  },

  async unpack(random) {
    const base = mkdtempSync(join(tmpdir(), 'hearth-fuzz-'));
    try {
      const target = join(base, 'target');
      mkdirSync(target);
      mkdirSync(join(base, 'outside'));
      writeFileSync(join(base, 'outside', 'secret'), 'untouched');
      if (random.chance(30)) symlinkSync('../outside', join(target, 'a'));
      const names = [
        'a',
        'b',
        'A',
        'a/b',
        'b/a',
        '..',
        '.',
        'a/..',
        '/a',
        'a//b',
        '../outside/x',
        'b/../../outside/x',
      ];
      const goals = ['a', 'b', '../outside', '/', '..', 'a/b', '../outside/secret', base];
      const entries = Array.from({ length: 1 + random.below(8) }, () => {
        const kind = random.pick(['file', 'file', 'directory', 'symlink', 'hardlink', 'fifo', 'character']);
        const size = kind === 'file' ? random.below(3) : 0;
        const head = encodeTarEntry({
          path: random.pick(names),
          kind,
          linkTarget: random.pick(goals),
          mode: random.pick([0o777, 0o4755, 0o700]),
          uid: 0,
          gid: 0,
          mtime: { seconds: 0, nanoseconds: 0 },
          sizeBytes: size,
        });
        return Buffer.concat([head, Buffer.alloc(size, 'x'), tarPadding(size)]);
      });
      let archive = Buffer.concat([...entries, TAR_END]);
      if (random.chance(30)) archive = mutated(archive, random);
      const source = (async function* () {
        yield archive;
      })();
      await settled(() => unpackTree(source, target, { maxBytes: 1024 * 1024 }));
      assert(
        readFileSync(join(base, 'outside', 'secret'), 'utf8') === 'untouched',
        'a file outside was written',
      );
      assert(readdirSync(join(base, 'outside')).length === 1, 'a file outside was made');
      assert(readdirSync(base).length === 2, 'something beside the target');
      assert(existsSync(target) && lstatSync(target).isDirectory(), 'the target itself was replaced');
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  },
};
