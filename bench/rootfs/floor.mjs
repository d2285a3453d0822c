// What conversion cannot do without, in two threads: node floor.mjs LAYOUT
// Reads every layer blob, hashes it, gunzips it, hashes the result. Zlib is driven as hearth drives it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { constants, createGunzip } from 'node:zlib';

const THREADS = 2;
const PIECE_BYTES = 256 * 1024;
const OUTPUT_BYTES = 1024 * 1024;

function blobPath(layout, digest) {
  return join(layout, 'blobs', ...digest.split(':'));
}

function unpack(path) {
  const blob = readFileSync(path);
  const stream = createGunzip();
  const { _handle: handle, _writeState: state } = stream;
  const output = Buffer.alloc(OUTPUT_BYTES);
  const packed = createHash('sha256');
  const unpacked = createHash('sha256');
  for (let at = 0; at < blob.byteLength; at += PIECE_BYTES) {
    const piece = blob.subarray(at, at + PIECE_BYTES);
    packed.update(piece);
    for (let used = 0; ; ) {
      handle.writeSync(constants.Z_NO_FLUSH, piece, used, piece.byteLength - used, output, 0, OUTPUT_BYTES);
      unpacked.update(output.subarray(0, OUTPUT_BYTES - state[0]));
      used = piece.byteLength - state[1];
      if (state[0] > 0) break;
    }
  }
  stream.close();
  return [packed.digest('hex'), unpacked.digest('hex')];
}

if (isMainThread) {
  const layout = process.argv[2];
  const read = (digest) => JSON.parse(readFileSync(blobPath(layout, digest), 'utf8'));
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  const { layers } = read(index.manifests[0].digest);
  const shares = Array.from({ length: THREADS }, () => ({ bytes: 0, paths: [] }));
  for (const { digest, size } of layers.toSorted((a, b) => b.size - a.size)) {
    const share = shares.reduce((least, other) => (other.bytes < least.bytes ? other : least));
    share.bytes += size;
    share.paths.push(blobPath(layout, digest));
  }
  await Promise.all(
    shares.map(
      ({ paths }) =>
        new Promise((done, fail) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: paths });
          worker.on('error', fail);
          worker.on('message', done);
        }),
    ),
  );
} else {
  parentPort.postMessage(workerData.map(unpack));
}
