// node measure-build.mjs OUTPUT LAYER.tar…: builds from uncompressed layers, base first, and prints peak memory, time and what was written.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { buildRootfs } from '../../../dist/rootfs/index.js';

const [outputPath, ...paths] = process.argv.slice(2);

async function layerOf(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const digest = `sha256:${hash.digest('hex')}`;
  const { size: sizeBytes } = statSync(path);
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  return {
    descriptor: { mediaType, digest, sizeBytes, annotations: {} },
    diffId: digest,
    open: async () => path,
    available: async () => sizeBytes,
    done: Promise.resolve(),
  };
}

const layers = await Promise.all(paths.map(layerOf));
const image = {
  manifestDigest: layers[0].diffId,
  platform: { os: 'linux', architecture: 'amd64' },
  manifest: { layers: layers.map(({ descriptor }) => descriptor) },
  config: { rootfs: { diffIds: layers.map(({ diffId }) => diffId) } },
  layers,
};
const before = process.cpuUsage();
const { entryCount, contentBytes } = await buildRootfs(image, { outputPath, digest: true });
const { user, system } = process.cpuUsage(before);
const cpuMs = (user + system) / 1000;
const peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
const writtenBytes = Number(/^wchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))[1]);
console.log(JSON.stringify({ peakMib: peakKib / 1024, cpuMs, entryCount, contentBytes, writtenBytes }));
