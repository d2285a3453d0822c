/** Small images made by hand: layers of a few files, written as an OCI layout that skopeo can push. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { REGISTRY_LOGIN, type TestRegistry } from './registry.js';

export interface MadeBlob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface MadeLayer extends MadeBlob {
  readonly mediaType: string;
  readonly diffId: string;
}

export interface MadeImage {
  readonly manifest: MadeBlob;
  readonly config: MadeBlob;
  readonly layers: readonly MadeLayer[];
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function blobOf(value: unknown): MadeBlob {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
  return { digest: sha256(bytes), bytes };
}

/** A tar of regular files. */
export function tarOf(files: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, content] of Object.entries(files)) {
    const body = Buffer.from(content as string);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'latin1');
    header.write('0000644\0', 100, 'latin1');
    header.write('0000000\0', 108, 'latin1');
    header.write('0000000\0', 116, 'latin1');
    header.write(`${body.byteLength.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write('00000000000\0', 136, 'latin1');
    header.write('        0', 148, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    parts.push(header, body, Buffer.alloc((512 - (body.byteLength % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export function layerOf(files: Readonly<Record<string, string | Buffer>>, level = 1): MadeLayer {
  const tar = tarOf(files);
  const bytes = gzipSync(tar, { level });
  return { digest: sha256(bytes), bytes, mediaType: OCI_LAYER, diffId: sha256(tar) };
}

export function imageOf(
  layers: readonly MadeLayer[],
  options: { readonly architecture?: string; readonly variant?: string; readonly run?: object } = {},
): MadeImage {
  const { architecture = 'amd64', variant, run = { Cmd: ['/bin/sh'] } } = options;
  const platform = { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
  const rootfs = { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) };
  const config = blobOf({ ...platform, config: run, rootfs });
  const manifest = blobOf({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.bytes.byteLength },
    layers: layers.map(({ mediaType, digest, bytes }) => ({ mediaType, digest, size: bytes.byteLength })),
  });
  return { manifest, config, layers, platform };
}

export function indexOf(images: readonly MadeImage[]): MadeBlob {
  return blobOf({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: images.map(({ manifest, platform }) => ({
      mediaType: OCI_MANIFEST,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
      platform,
    })),
  });
}

/** Bytes that do not compress and are the same in every run. */
export function noise(byteLength: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(Math.ceil(byteLength / 32) * 32);
  let block = Buffer.from(`seed ${seed}`);
  for (let offset = 0; offset < bytes.byteLength; offset += 32) {
    block = createHash('sha256').update(block).digest();
    block.copy(bytes, offset);
  }
  return bytes.subarray(0, byteLength);
}

/** Writes an OCI layout with one name, `tag`, of an image or of an index of images. */
async function writeLayout(directory: string, tag: string, images: readonly MadeImage[]): Promise<void> {
  await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true });
  const put = ({ digest, bytes }: MadeBlob) =>
    writeFile(join(directory, 'blobs', 'sha256', digest.slice('sha256:'.length)), bytes);
  for (const image of images) {
    await put(image.manifest);
    await put(image.config);
    for (const layer of image.layers) await put(layer);
  }
  const [first] = images;
  if (first === undefined) throw new Error('a layout needs an image');
  const top = images.length === 1 ? first.manifest : indexOf(images);
  await put(top);
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: images.length === 1 ? OCI_MANIFEST : OCI_INDEX,
        digest: top.digest,
        size: top.bytes.byteLength,
        annotations: { 'org.opencontainers.image.ref.name': tag },
      },
    ],
  };
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(directory, 'index.json'), JSON.stringify(index));
}

/** Pushes images with skopeo, as one index if there are several. */
export async function pushImages(
  registry: TestRegistry,
  repository: string,
  tag: string,
  images: readonly MadeImage[],
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-layout-'));
  try {
    await writeLayout(directory, tag, images);
    const { username, password } = REGISTRY_LOGIN;
    const run = spawnSync(
      'skopeo',
      [
        'copy',
        '--all',
        '--insecure-policy',
        '--preserve-digests',
        '--dest-tls-verify=false',
        `--dest-creds=${username}:${password}`,
        `oci:${directory}:${tag}`,
        `docker://${registry.directHost}/${repository}:${tag}`,
      ],
      { encoding: 'utf8' },
    );
    if (run.error !== undefined) throw new Error(`install the Debian package skopeo: ${run.error.message}`);
    if (run.status !== 0) throw new Error(`skopeo failed: ${run.stderr}`);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
