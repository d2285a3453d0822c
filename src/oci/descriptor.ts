/** Descriptors: media type, digest and size of a blob. Source: image-spec v1.1.1, descriptor.md. */
import { type Digest, isDigest } from './digest.js';
import { asArray, asObject, asOptionalString, asString, asStringMap, type Fail } from './json.js';
import { bareMediaType } from './media-types.js';
import { normalizePlatform, type Platform } from './platform.js';

export interface Descriptor {
  /** Without parameters, in lower case. */
  readonly mediaType: string;
  readonly digest: Digest;
  /** 0..2^53-1. */
  readonly sizeBytes: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** Only in an index. */
  readonly platform?: Platform;
  readonly artifactType?: string;
}

const MAX_NAME_CHARS = 255;
const MAX_ANNOTATIONS = 1000;
const MAX_TEXT_CHARS = 64 * 1024;
const MAX_URLS = 64;
/** More than any blob can have; keeps sums of sizes exact. */
const MAX_SIZE_BYTES = 2 ** 46;

/** Checks one descriptor of a document; `urls` and `data` are checked and dropped: blobs come from the registry. */
export function readDescriptor(value: unknown, where: string, fail: Fail): Descriptor {
  const object = asObject(value, where, fail);
  const mediaType = bareMediaType(asString(object.mediaType, `${where}.mediaType`, MAX_NAME_CHARS, fail));
  if (!isDigest(object.digest)) throw fail(`${where}.digest is not a sha256 or sha512 digest`);
  const { size } = object;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > MAX_SIZE_BYTES) {
    throw fail(`${where}.size is not a size: ${JSON.stringify(size)?.slice(0, 40)}`);
  }
  for (const url of asArray(object.urls, `${where}.urls`, MAX_URLS, fail)) {
    asString(url, `an entry of ${where}.urls`, MAX_TEXT_CHARS, fail);
  }
  const artifactType = asOptionalString(object.artifactType, `${where}.artifactType`, MAX_NAME_CHARS, fail);
  const platform = readPlatform(object.platform, `${where}.platform`, fail);
  return {
    mediaType,
    digest: object.digest,
    sizeBytes: size,
    annotations: asStringMap(
      object.annotations,
      `${where}.annotations`,
      MAX_ANNOTATIONS,
      MAX_TEXT_CHARS,
      fail,
    ),
    ...(platform === undefined ? {} : { platform }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

function readPlatform(value: unknown, where: string, fail: Fail): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  const object = asObject(value, where, fail);
  return normalizePlatform(
    asString(object.os, `${where}.os`, MAX_NAME_CHARS, fail),
    asString(object.architecture, `${where}.architecture`, MAX_NAME_CHARS, fail),
    asOptionalString(object.variant, `${where}.variant`, MAX_NAME_CHARS, fail),
  );
}

/** The JSON form of a descriptor, as documents hold it. */
export function encodeDescriptor(descriptor: Descriptor): Readonly<Record<string, unknown>> {
  const { mediaType, digest, sizeBytes, annotations, platform, artifactType } = descriptor;
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(platform === undefined ? {} : { platform }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
