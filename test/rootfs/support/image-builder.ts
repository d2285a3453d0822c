/** Images for tests: tars in, an `Image` whose blobs are files of a directory out. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Digest, Image, ImageLayer } from '../../../src/oci/index.js';

export interface LayerSpec {
  /** The blob as stored. */
  readonly blob: Uint8Array;
  /** Default: the gzip type. */
  readonly mediaType?: string;
  /** Default: the digest of the blob's uncompressed bytes, `tar`. */
  readonly diffId?: Digest;
  readonly tar: Uint8Array;
  /** Default: the digest of `blob`. */
  readonly digest?: Digest;
}

export interface ImageSpec {
  readonly diffIds?: readonly Digest[];
  /** How the layers' bytes arrive. Default: all there. */
  readonly arrival?: (layer: ImageLayer, index: number) => ImageLayer;
}

export const GZIP_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const ZSTD_LAYER = 'application/vnd.oci.image.layer.v1.tar+zstd';
export const TAR_LAYER = 'application/vnd.oci.image.layer.v1.tar';

export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

export function gzipLayer(tar: Uint8Array): LayerSpec {
  return { blob: gzipSync(tar, { level: 1 }), tar };
}

/** @param layers Base layer first. */
export async function makeImage(
  directory: string,
  layers: readonly LayerSpec[],
  spec: ImageSpec = {},
): Promise<Image> {
  const made = await Promise.all(
    layers.map(async (layer, index): Promise<ImageLayer> => {
      const path = join(directory, `layer-${index}`);
      await writeFile(path, layer.blob);
      const descriptor = {
        mediaType: layer.mediaType ?? GZIP_LAYER,
        digest: layer.digest ?? sha256(layer.blob),
        sizeBytes: layer.blob.byteLength,
        annotations: {},
      };
      const there: ImageLayer = {
        descriptor,
        diffId: layer.diffId ?? sha256(layer.tar),
        open: async () => path,
        available: async () => layer.blob.byteLength,
        done: Promise.resolve(),
      };
      return spec.arrival?.(there, index) ?? there;
    }),
  );
  const diffIds = spec.diffIds ?? made.map((layer) => layer.diffId);
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: sha256(new Uint8Array(0)),
    sizeBytes: 0,
    annotations: {},
  };
  return {
    manifestDigest: sha256(Buffer.from(JSON.stringify([diffIds, made.map((layer) => layer.descriptor)]))),
    platform: { os: 'linux', architecture: 'amd64' },
    manifest: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: made.map((layer) => layer.descriptor),
      annotations: {},
    },
    config: {
      os: 'linux',
      architecture: 'amd64',
      env: [],
      workingDir: '',
      user: '',
      entrypoint: [],
      cmd: [],
      labels: {},
      exposedPorts: [],
      volumes: [],
      rootfs: { diffIds },
    },
    layers: made,
  };
}
