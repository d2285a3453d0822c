/**
 * Clones of a 1 GiB template with 300 MiB of content: every rung against cp.
 *
 *     npm run build && node bench/disks.mjs [--json] [--dir DIRECTORY] [--rounds N]
 *
 * `cp, no holes` copies a template of the same content that is written out in full, `cp, holes filled` writes
 * out this one. --dir chooses the file system. "durable" waits until the clone would survive a power cut.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cloneDisk, RootfsRegistry } from '../dist/disks/index.js';

const MIB = 1024 ** 2;
const CONTENT_MIB = 300;
const AT_ONCE = 100;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    rounds: { type: 'string', default: '7' },
  },
});
const rounds = Number(values.rounds);
const root = mkdtempSync(join(values.dir, 'hearth-bench-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

/** Content in pieces of 4 MiB, evenly spread: the rest are holes. */
function makeTemplate(name, sizeMib, contentMib) {
  mkdirSync(join(root, 'templates', name), { recursive: true });
  const path = join(root, 'templates', name, 'rootfs.ext4');
  const file = openSync(path, 'w');
  const pieces = contentMib / 4;
  for (let i = 0; i < pieces; i += 1) {
    writeSync(file, randomBytes(4 * MIB), 0, 4 * MIB, Math.floor((i * sizeMib) / pieces) * MIB);
  }
  ftruncateSync(file, sizeMib * MIB);
  fsyncSync(file);
  closeSync(file);
  return path;
}

const rows = [];

/** Times `clone(path)`, rounds times, each on a quiet file system; the clone is removed after. */
async function measure(name, clone) {
  const times = [];
  let allocatedMib = 0;
  for (let round = -1; round < rounds; round += 1) {
    const path = join(root, 'clone');
    execFileSync('sync', ['-f', root]);
    const start = performance.now();
    try {
      await clone(path);
    } catch (error) {
      if (error.code !== 'CLONE_RUNG_UNAVAILABLE') throw error;
      rows.push({ name, unavailable: true });
      return;
    }
    const elapsed = performance.now() - start;
    if (round >= 0) times.push(elapsed);
    allocatedMib = (statSync(path).blocks * 512) / MIB;
    rmSync(path);
  }
  times.sort((a, b) => a - b);
  rows.push({
    name,
    medianMs: times[Math.floor(times.length / 2)],
    minMs: times[0],
    maxMs: times.at(-1),
    allocatedMib,
  });
}

const medianOf = (name) => rows.find((row) => row.name === name)?.medianMs;

function cp(template, ...more) {
  return (path) => {
    execFileSync('cp', ['--reflink=never', '--sparse=never', template, path]);
    for (const command of more) execFileSync(command, [path]);
  };
}

const small = makeTemplate('small', 64, 16);
const template = makeTemplate('large', 1024, CONTENT_MIB);
const rung =
  (name, from = template, durable = false) =>
  (path) =>
    cloneDisk(from, path, { rungs: [name], durable, readOnly: name === 'hardlink' });

const filled = join(root, 'filled');
cp(template)(filled);
await measure('cp, no holes', cp(filled));
await measure('cp, no holes, durable', cp(filled, 'sync'));
rmSync(filled);
await measure('cp, holes filled', cp(template));
for (const name of ['reflink', 'overlay', 'sparse-copy', 'hardlink']) {
  await measure(name, rung(name));
  if (name !== 'hardlink') await measure(`${name}, durable`, rung(name, template, true));
}
await measure('reflink, 64 MiB template', rung('reflink', small));
await measure('overlay, 64 MiB template', rung('overlay', small));

const registry = new RootfsRegistry({
  templateDir: join(root, 'templates'),
  clonesDir: join(root, 'clones'),
  resize2fsPath: 'resize2fs',
  onWarning: () => undefined,
});
await registry.templates();
const vmIds = Array.from({ length: AT_ONCE }, (_, i) => `vm-${i}`);
let start = performance.now();
await registry.cloneForVm('alone', 'large', { format: 'auto' });
const registryMs = performance.now() - start;
start = performance.now();
await Promise.all(vmIds.map((vmId) => registry.cloneForVm(vmId, 'large', { format: 'auto' })));
const atOnceMs = performance.now() - start;

const result = {
  fileSystem: execFileSync('stat', ['-f', '-c', '%T', root]).toString().trim(),
  templateMib: 1024,
  contentMib: CONTENT_MIB,
  rounds,
  rows,
  registryMs,
  atOnce: { clones: AT_ONCE, totalMs: atOnceMs },
  sparseCopySpeedup: medianOf('cp, no holes') / medianOf('sparse-copy'),
  sparseCopySpeedupDurable: medianOf('cp, no holes, durable') / medianOf('sparse-copy, durable'),
};

if (values.json) console.log(JSON.stringify(result, null, 2));
else {
  console.log(
    `1 GiB template with ${CONTENT_MIB} MiB of content on ${result.fileSystem}, ${rounds} rounds\n`,
  );
  console.log(
    `${'way'.padEnd(28)}${['median ms', 'min ms', 'max ms', 'MiB on disk'].map((h) => h.padStart(13)).join('')}`,
  );
  for (const { name, unavailable, medianMs, minMs, maxMs, allocatedMib } of rows) {
    const cells = unavailable
      ? ['not here']
      : [medianMs.toFixed(2), minMs.toFixed(2), maxMs.toFixed(2), allocatedMib.toFixed(1)];
    console.log(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(13)).join('')}`);
  }
  console.log(
    `\nsparse copy against cp: ${result.sparseCopySpeedup.toFixed(1)} times as fast, ` +
      `${result.sparseCopySpeedupDurable.toFixed(1)} times when durable`,
  );
  console.log(
    `registry, lock and stamps included: ${registryMs.toFixed(1)} ms; ` +
      `${AT_ONCE} at once: ${atOnceMs.toFixed(0)} ms`,
  );
}
