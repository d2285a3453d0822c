/** Media types of the documents and layers that hearth reads; OCI's and Docker's names for the same things. */
import { HearthError } from '../errors/index.js';

export const MEDIA_TYPES = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

const SCHEMA1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/;
const FOREIGN = /^application\/vnd\.(?:docker\.image\.rootfs\.foreign|oci\.image\.layer\.nondistributable)\./;
const LAYER_COMPRESSIONS: Readonly<Record<string, LayerCompression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

export type LayerCompression = 'none' | 'gzip' | 'zstd';

/** The media type without its parameters, in lower case. */
export function bareMediaType(value: string): string {
  return (value.split(';', 1)[0] ?? '').trim().toLowerCase();
}

export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociIndex || mediaType === MEDIA_TYPES.dockerIndex;
}

export function isManifestMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.dockerManifest;
}

/** True for Docker's first manifest format, which hearth refuses. */
export function isSchema1MediaType(mediaType: string): boolean {
  return SCHEMA1.test(mediaType);
}

/**
 * How a layer's tar is packed, by its media type alone.
 *
 * @throws {HearthError} `LAYER_FOREIGN` for layers that a registry does not hold, `MEDIA_TYPE_UNSUPPORTED`
 *   for everything that is not a layer tar (encrypted layers, artifacts).
 */
export function layerCompression(mediaType: string): LayerCompression {
  const bare = bareMediaType(mediaType);
  const compression = Object.hasOwn(LAYER_COMPRESSIONS, bare) ? LAYER_COMPRESSIONS[bare] : undefined;
  if (compression !== undefined) return compression;
  const details = { mediaType: mediaType.slice(0, 255) };
  if (FOREIGN.test(bare)) {
    throw new HearthError('LAYER_FOREIGN', `the layer is kept outside registries (${details.mediaType})`, {
      hint: 'Use an image whose layers can be distributed; Windows base images cannot.',
      details,
    });
  }
  throw new HearthError('MEDIA_TYPE_UNSUPPORTED', `not a layer that hearth can read: ${details.mediaType}`, {
    hint: 'Use an image whose layers are tar, tar+gzip or tar+zstd.',
    details,
  });
}
