// One measured run: node registry-to-ext4.mjs REFERENCE CACHE_DIR OUTPUT
import { join } from 'node:path';
import { openBlobStore } from '../../dist/blobs/index.js';
import { pullImage } from '../../dist/registry/index.js';
import { buildRootfs } from '../../dist/rootfs/index.js';

const [reference, cache, outputPath] = process.argv.slice(2);
const blobs = await openBlobStore(join(cache, 'blobs'));
const image = await pullImage(reference, { blobs });
const result = await buildRootfs(image, { outputPath });
await image[Symbol.asyncDispose]();
console.log(JSON.stringify(result));
