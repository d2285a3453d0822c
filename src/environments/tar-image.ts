/**
 * A tar file on this machine as a one-layer image, so that a root file system made here goes through the
 * same conversion as one that was pulled.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  DEFAULT_PLATFORM,
  type Digest,
  digestOf,
  digestOfHash,
  type Image,
  MEDIA_TYPES,
} from '../oci/index.js';

/** How to run what is in the tar. */
export interface TarImageConfig {
  readonly env: readonly string[];
  readonly cmd: readonly string[];
}

/**
 * @param path An uncompressed tar that nobody changes any more.
 * @returns An image whose only layer is complete; its manifest digest is that of the tar.
 */
export async function openTarImage(
  path: string,
  config: TarImageConfig,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Image> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
  file.on('data', (chunk) => {
    sizeBytes += chunk.length;
  });
  await pipeline(file, hash, { ...(options.signal === undefined ? {} : { signal: options.signal }) });
  const digest: Digest = digestOfHash(hash, 'sha256');
  const descriptor = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest,
    sizeBytes,
    annotations: {},
  };
  const emptyConfig = new TextEncoder().encode('{}');
  return {
    manifestDigest: digest,
    platform: DEFAULT_PLATFORM,
    manifest: {
      mediaType: MEDIA_TYPES.ociManifest,
      config: {
        mediaType: MEDIA_TYPES.ociConfig,
        digest: digestOf(emptyConfig),
        sizeBytes: emptyConfig.byteLength,
        annotations: {},
      },
      layers: [descriptor],
      annotations: {},
    },
    config: {
      os: DEFAULT_PLATFORM.os,
      architecture: DEFAULT_PLATFORM.architecture,
      env: config.env,
      workingDir: '',
      user: '',
      entrypoint: [],
      cmd: config.cmd,
      labels: {},
      exposedPorts: [],
      volumes: [],
      rootfs: { diffIds: [digest] },
    },
    layers: [
      {
        descriptor,
        diffId: digest,
        open: async () => path,
        available: async () => sizeBytes,
        done: Promise.resolve(),
      },
    ],
  };
}
