// Registry → finished ext4 file, hearth beside the pipelines that people use today, in one run on one machine.
//
//   node bench/rootfs.mjs [--images DIR] [--image build|single] [--runs 3] [--only hearth,floor,…] [--json]
//
// DIR holds OCI layouts made by bench/rootfs/make-images.sh (made there when they are missing). They are pushed to
// a docker-registry on loopback. Every run starts with empty caches; pipelines take turns, so that noise of the
// machine falls on all of them. Reported are medians of wall time, processor time and peak memory of the largest
// process, and each pipeline's wall time as a multiple of hearth's.
//
// `floor` is what no way around exists for in Node: reading the blobs of a local layout, hashing them, gunzipping
// them and hashing what comes out, in two threads, the largest layers shared out first; nothing is written.
//
// Needs: docker-registry, skopeo, umoci, buildah, podman, e2fsprogs, GNU time. Run as root: the peers unpack
// with owners and mount.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
  options: {
    images: { type: 'string', default: join(tmpdir(), 'hearth-bench-images') },
    image: { type: 'string', default: 'build' },
    runs: { type: 'string', default: '3' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const here = fileURLToPath(new URL('.', import.meta.url));
const images = resolve(args.images);
const work = mkdtempSync(join(tmpdir(), 'hearth-bench-'));

/** Runs a command to its end under GNU time; throws with its output when it fails. */
function run(command, options = {}) {
  return new Promise((done, fail) => {
    const report = join(work, 'time');
    const timed = ['-o', report, '-f', '%e %U %S %M', ...command];
    const startedAt = performance.now();
    const child = spawn('/usr/bin/time', timed, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('error', fail);
    child.on('close', (exitCode) => {
      if (exitCode !== 0) return fail(new Error(`${command.join(' ')}: exit ${exitCode}\n${output}`));
      const wallMs = performance.now() - startedAt;
      const [, user, sys, peakKib] = readFileSync(report, 'utf8')
        .trim()
        .split('\n')
        .at(-1)
        .split(' ')
        .map(Number);
      return done({ wallMs, cpuMs: (user + sys) * 1000, peakMib: peakKib / 1024, output });
    });
  });
}

const sh = (script) => ['sh', '-euc', script];

async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

async function startRegistry() {
  const port = await freePort();
  const config = join(work, 'registry.json');
  writeFileSync(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: join(work, 'registry') } },
      http: { addr: `127.0.0.1:${port}` },
    }),
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  for (let tries = 0; ; tries += 1) {
    const isUp = await fetch(`http://127.0.0.1:${port}/v2/`).then(
      () => true,
      () => false,
    );
    if (isUp) return { address: `127.0.0.1:${port}`, stop: () => child.kill() };
    if (tries === 100) throw new Error('docker-registry does not answer');
    await sleep(100);
  }
}

/** Each makes `out` from `reference`, in the empty directory `dir`. */
function pipelines(reference, layout) {
  const mkfs = (from, out) => `mkfs.ext4 -q -F -d ${from} ${out} 2G`;
  const podman = (dir) => `podman --root ${dir}/root --runroot ${dir}/run`;
  const buildah = (dir) => `buildah --root ${dir}/root --runroot ${dir}/run`;
  return {
    hearth: (dir, out) => [process.execPath, join(here, 'rootfs/registry-to-ext4.mjs'), reference, dir, out],
    floor: () => [process.execPath, join(here, 'rootfs/floor.mjs'), layout],
    'skopeo + umoci + mkfs': (dir, out) =>
      sh(`skopeo copy -q --src-tls-verify=false docker://${reference} oci:${dir}/oci:i
          umoci unpack --image ${dir}/oci:i ${dir}/bundle
          ${mkfs(`${dir}/bundle/rootfs`, out)}`),
    'buildah + mkfs': (dir, out) =>
      sh(`c=$(${buildah(dir)} from -q --tls-verify=false ${reference})
          ${mkfs(`$(${buildah(dir)} mount $c)`, out)}
          ${buildah(dir)} umount $c >/dev/null`),
    'podman + mkfs': (dir, out) =>
      sh(`${podman(dir)} pull -q --tls-verify=false ${reference}
          ${mkfs(`$(${podman(dir)} image mount ${reference})`, out)}
          ${podman(dir)} image umount ${reference} >/dev/null`),
  };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function main() {
  if (!existsSync(join(images, 'done'))) {
    mkdirSync(images, { recursive: true });
    await run([join(here, 'rootfs/make-images.sh'), images]);
  }
  const registry = await startRegistry();
  try {
    const layout = join(images, args.image);
    const reference = `${registry.address}/${args.image}:1`;
    await run([
      'skopeo',
      'copy',
      '-q',
      '--dest-tls-verify=false',
      `oci:${layout}:${args.image}`,
      `docker://${reference}`,
    ]);
    const all = pipelines(reference, layout);
    const names = args.only === undefined ? Object.keys(all) : args.only.split(',');
    const results = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < Number(args.runs); round += 1) {
      for (const name of names) {
        const dir = mkdtempSync(join(work, 'run-'));
        const out = join(dir, 'rootfs.ext4');
        const result = await run(all[name](dir, out));
        const outputMib = existsSync(out) ? (statSync(out).blocks * 512) / 2 ** 20 : 0;
        results[name].push({ ...result, outputMib });
        await run(sh(`umount ${dir}/root/overlay 2>/dev/null || true; rm -rf ${dir}`));
      }
    }
    report(names, results);
  } finally {
    registry.stop();
    rmSync(work, { recursive: true, force: true });
  }
}

function report(names, results) {
  const rows = names.map((name) => {
    const of = (field) => median(results[name].map((result) => result[field]));
    return {
      name,
      wallMs: of('wallMs'),
      cpuMs: of('cpuMs'),
      peakMib: of('peakMib'),
      outputMib: of('outputMib'),
    };
  });
  const hearthMs = rows.find(({ name }) => name === 'hearth')?.wallMs;
  const withRatios = rows.map((row) => ({
    ...row,
    timesHearth: hearthMs === undefined ? null : row.wallMs / hearthMs,
  }));
  if (args.json) {
    console.log(JSON.stringify({ image: args.image, runs: Number(args.runs), results: withRatios }, null, 2));
    return;
  }
  console.log(`image ${args.image}, median of ${args.runs}`);
  for (const { name, wallMs, cpuMs, peakMib, timesHearth } of withRatios) {
    const ratio = timesHearth === null ? '' : `${timesHearth.toFixed(2)} × hearth`;
    console.log(
      `${name.padEnd(24)} ${(wallMs / 1000).toFixed(2)} s  cpu ${(cpuMs / 1000).toFixed(2)} s  ${peakMib.toFixed(0)} MiB  ${ratio}`,
    );
  }
}

await main();
