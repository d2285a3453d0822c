/** The parts of an image taken together: whether a manifest is an image's at all, and fits its config. */
import { HearthError } from '../errors/index.js';
import type { ImageConfig } from './config.js';
import { MAX_MANIFEST_BYTES, type Manifest } from './manifest.js';
import { layerCompression, MEDIA_TYPES } from './media-types.js';
import { normalizePlatform, type Platform, platformDistance } from './platform.js';

/**
 * Checks, before any blob is fetched, that a manifest is of a container image whose layers hearth can read.
 *
 * @throws {HearthError} `MEDIA_TYPE_UNSUPPORTED`, `LAYER_FOREIGN`, `MANIFEST_TOO_LARGE` for its config.
 */
export function assertImageManifest(manifest: Manifest): void {
  const { config, layers } = manifest;
  if (config.mediaType !== MEDIA_TYPES.ociConfig && config.mediaType !== MEDIA_TYPES.dockerConfig) {
    throw new HearthError(
      'MEDIA_TYPE_UNSUPPORTED',
      `not a container image: its config is ${config.mediaType}`,
      {
        hint: 'Check the reference: it names an artifact of another kind.',
        details: { mediaType: config.mediaType, artifactType: manifest.artifactType ?? null },
      },
    );
  }
  if (config.sizeBytes > MAX_MANIFEST_BYTES) {
    throw new HearthError('MANIFEST_TOO_LARGE', `the image config has ${config.sizeBytes} bytes`, {
      hint: 'Check that the reference names a container image; no honest config is that large.',
      details: { sizeBytes: config.sizeBytes, limitBytes: MAX_MANIFEST_BYTES },
    });
  }
  for (const layer of layers) layerCompression(layer.mediaType);
}

/** @throws {HearthError} `IMAGE_CONFIG_INVALID` when there is not one diffID for each layer. */
export function assertConfigFits(manifest: Manifest, config: ImageConfig): void {
  const diffIdCount = config.rootfs.diffIds.length;
  const layerCount = manifest.layers.length;
  if (diffIdCount === layerCount) return;
  throw new HearthError(
    'IMAGE_CONFIG_INVALID',
    `the image config has ${diffIdCount} diffIDs for ${layerCount} layers`,
    {
      hint: 'Rebuild or push the image again with a current builder.',
      details: { diffIdCount, layerCount },
    },
  );
}

/** The platform that a config states, undefined when it leaves os or architecture out. */
export function configPlatform(config: ImageConfig): Platform | undefined {
  if (config.os === '' || config.architecture === '') return undefined;
  return normalizePlatform(config.os, config.architecture, config.variant);
}

/** True when an image with this config runs on `platform`; a config that does not say is believed to. */
export function configSuits(config: ImageConfig, platform: Platform): boolean {
  const stated = configPlatform(config);
  return stated === undefined || platformDistance(platform, stated) !== undefined;
}
