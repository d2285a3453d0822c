// Targets of the fuzzer that read layers: tar and PAX, the merge, gzip and zstd.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { HearthError } from '../../dist/errors/index.js';
import { LayerMerger } from '../../dist/layers/index.js';
import { decompress } from '../../dist/rootfs/decompress.js';
import { announceGrowth, createGrowth, GrowingFile } from '../../dist/rootfs/growing-file.js';
import { TarReader } from '../../dist/tar/index.js';
import { assert, mutated, outcome, randomOf } from './chance.mjs';

const BLOCK = 512;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

function header({ name, size = 0, type = '0', link = '', magic = 'ustar\x0000', extra = {} }) {
  const block = Buffer.alloc(BLOCK);
  const put = (at, text) => block.write(text, at, 'latin1');
  put(0, name);
  put(100, '0000644\0');
  put(108, '0000001\0');
  put(116, '0000002\0');
  put(124, `${size.toString(8).padStart(11, '0')}\0`);
  put(136, '14000000000\0');
  put(156, type);
  put(157, link);
  put(257, magic);
  for (const [at, text] of Object.entries(extra)) put(Number(at), text);
  return sealed(block);
}

function sealed(block) {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.byteLength % BLOCK)) % BLOCK)]);
}

function pax(records) {
  const lines = records.map(([key, value]) => {
    const rest = ` ${key}=${value}\n`.length;
    let length = rest + 1;
    while (String(length).length + rest !== length) length = String(length).length + rest;
    return `${length} ${key}=${value}\n`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}

const NAMES = [
  'a',
  'b',
  'd/a',
  'd/b',
  'd/e/f',
  './a',
  '../x',
  '/d/e',
  'd/.wh.a',
  '.wh.d',
  'd/.wh..wh..opq',
  'l/x',
  '.wh.',
  'd',
  '',
];
const PAX_RECORDS = [
  ['path', 'd/long'],
  ['path', ''],
  ['linkpath', 'a'],
  ['size', '5'],
  ['size', '-1'],
  ['size', '99999999999999999999'],
  ['uid', '4294967296'],
  ['gid', '7'],
  ['mtime', '-1.5'],
  ['mtime', '1e9'],
  ['SCHILY.xattr.user.a', '\0\xff\n='],
  ['LIBARCHIVE.xattr.user.%41', 'QUI='],
  ['GNU.sparse.major', '1'],
  ['GNU.sparse.minor', '0'],
  ['GNU.sparse.realsize', '4096'],
  ['GNU.sparse.map', '0,2,10,3'],
  ['GNU.sparse.map', '10,3,0,2'],
  ['GNU.sparse.size', '20'],
  ['GNU.sparse.offset', '3'],
  ['GNU.sparse.numbytes', '2'],
  ['GNU.sparse.name', 'd/s'],
  ['comment', 'x'.repeat(300)],
  ['', 'x'],
  ['a=b', 'c'],
];

/** An archive put together from odd but well-formed pieces. */
function archive(random) {
  const pieces = [];
  for (let count = random.below(8); count >= 0; count -= 1) {
    if (random.chance(35)) {
      const body = pax(Array.from({ length: 1 + random.below(4) }, () => random.pick(PAX_RECORDS)));
      pieces.push(
        header({ name: 'pax', size: body.byteLength, type: random.pick(['x', 'x', 'x', 'g']) }),
        padded(body),
      );
    }
    if (random.chance(10)) {
      const body = Buffer.from(`${random.pick(NAMES)}\0`, 'latin1');
      pieces.push(
        header({ name: 'long', size: body.byteLength, type: random.pick(['L', 'K']) }),
        padded(body),
      );
    }
    const type = random.pick(['0', '0', '0', '1', '2', '5', '5', '3', '6', 'S', '\0', '7', 'Z']);
    const size = random.chance(60) ? random.below(1200) : 0;
    const isOldSparse = type === 'S';
    const number = (value) => `${value.toString(8).padStart(11, '0')}\0`;
    const extra = isOldSparse
      ? {
          386: number(0) + number(size),
          483: number(size + random.below(3)),
          482: random.pick(['\0', '\x01']),
        }
      : {};
    const magic = isOldSparse ? 'ustar  \0' : random.pick(['ustar\x0000', 'ustar  \0', '']);
    pieces.push(header({ name: random.pick(NAMES), size, type, link: random.pick(NAMES), magic, extra }));
    if ('07S\0'.includes(type)) pieces.push(padded(Buffer.alloc(size, random.below(256))));
  }
  pieces.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(pieces);
}

/** Gives headers a right checksum again, so that changes get past it. */
function resealed(bytes) {
  for (let at = 0; at + BLOCK <= bytes.byteLength; at += BLOCK) {
    if (bytes.toString('latin1', at + 257, at + 262) === 'ustar') sealed(bytes.subarray(at, at + BLOCK));
  }
  return bytes;
}

function readTar(bytes, cut) {
  const seen = [];
  let delivered = 0;
  let limit = 0;
  const reader = new TarReader({
    onEntry(entry) {
      limit = entry.sizeBytes;
      seen.push(
        `${entry.kind} ${entry.path} ${entry.linkTarget} ${entry.sizeBytes} ${entry.uid} ${entry.mtime.seconds}`,
      );
    },
    onData(data, offset) {
      delivered += data.byteLength;
      assert(offset + data.byteLength <= limit, 'data beyond the size of its file');
      seen.push(data.toString('latin1'));
    },
    onFileEnd() {
      seen.push('end');
    },
  });
  const end = outcome(() => {
    for (let at = 0; at < bytes.byteLength; ) {
      const length = Math.max(1, cut());
      reader.push(bytes.subarray(at, at + length));
      at += length;
    }
    reader.finish();
    return 'done';
  });
  assert(delivered <= bytes.byteLength, 'more data than there was');
  // Bodies are cut where the chunks are.
  return `${seen.join('')}\n${end}`;
}

export const targets = {
  tar(random) {
    let bytes = mutated(archive(random), random);
    if (random.chance(70)) bytes = resealed(bytes);
    const whole = readTar(bytes, () => bytes.byteLength);
    const pieces = readTar(bytes, () => random.below(random.chance(50) ? 20 : 2000));
    assert(whole === pieces, `read differently in pieces:\n${whole}\n--\n${pieces}`);
  },

  merge(random) {
    const layerCount = 1 + random.below(3);
    const merger = new LayerMerger({ layerCount, maxEntries: 2000, maxContentBytes: 20_000 });
    outcome(() => {
      for (let layer = 0; layer < layerCount; layer += 1) {
        const reader = new TarReader({ onEntry: (entry) => merger.add(entry), onData() {}, onFileEnd() {} });
        reader.push(random.chance(50) ? archive(random) : resealed(mutated(archive(random), random)));
        reader.finish();
        merger.endLayer();
      }
      const pending = [merger.finish().root];
      for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
        for (const [name, child] of node.children) {
          assert(name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name), `a bad name: ${name}`);
          if (child.kind === 'directory') pending.push(child);
        }
      }
      return 'done';
    });
  },

  gzip: (random, scratch) =>
    unpack(random, scratch, 'gzip', () => gzipSync(archive(random), { level: random.below(10) })),

  zstd: (random, scratch) => unpack(random, scratch, 'zstd', () => random.pick(scratch.zstdCorpus())),
};

async function unpack(random, scratch, kind, make) {
  const frames = Array.from({ length: 1 + random.below(3) }, make);
  const blob = mutated(Buffer.concat([...frames, Buffer.alloc(random.pick([0, 0, 1, 700]))]), random);
  const path = scratch.write(blob);
  const growth = createGrowth(1);
  announceGrowth(growth, 0, blob.byteLength);
  const file = new GrowingFile({ path, offsetBytes: 0, sizeBytes: blob.byteLength }, growth, 0);
  const room = Buffer.alloc(1 + random.below(5000));
  let produced = 0;
  const take = (byteCount) => {
    produced += byteCount;
    if (produced > MAX_OUTPUT_BYTES) throw new HearthError('CONTENT_TOO_LARGE', 'enough');
  };
  try {
    await decompress(file, kind, {
      room: () => room,
      commit: take,
      write: (bytes) => take(bytes.byteLength),
    });
  } catch (error) {
    if (!HearthError.is(error)) throw error;
  } finally {
    file.close();
  }
}

/** A file for blobs, and zstd frames made by zstd. */
export function openScratch() {
  const directory = mkdtempSync(join(tmpdir(), 'hearth-fuzz-'));
  const path = join(directory, 'blob');
  let corpus;
  return {
    write(blob) {
      const fd = openSync(path, 'w');
      writeSync(fd, blob);
      closeSync(fd);
      return path;
    },
    zstdCorpus() {
      corpus ??= [1, 2, 3, 4].flatMap((seed) => {
        writeFileSync(path, archive(randomOf(seed)));
        return ['-1', '-19', '--no-check'].map((option) => execFileSync('zstd', ['-q', '-c', option, path]));
      });
      return corpus;
    },
    close: () => rmSync(directory, { recursive: true }),
  };
}
