/** Image configs: how to run an image and the diffIDs of its layers. Source: image-spec v1.1.1, config.md. */
import { HearthError } from '../errors/index.js';
import { type Digest, isDigest } from './digest.js';
import { asArray, asObject, asOptionalString, asString, asStringMap, parseJsonObject } from './json.js';
import { MAX_MANIFEST_BYTES } from './manifest.js';

export interface ImageConfig {
  /** Empty when the config does not say. */
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  /** `NAME=value`, in order; a later entry of a name wins. */
  readonly env: readonly string[];
  /** Empty means `/`. */
  readonly workingDir: string;
  /** `user`, `uid`, `user:group`, …; empty means root. */
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** `8080/tcp`, sorted as in the config. */
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal?: string;
  readonly created?: string;
  readonly rootfs: {
    /** Base layer first: digests of the uncompressed layers. */
    readonly diffIds: readonly Digest[];
  };
}

const MAX_NAME_CHARS = 255;
const MAX_ENTRIES = 10_000;
/** Linux's own limit of one argument or environment string (MAX_ARG_STRLEN). */
const MAX_TEXT_CHARS = 128 * 1024;
const MAX_LAYERS = 1000;

function invalid(problem: string): HearthError {
  return new HearthError('IMAGE_CONFIG_INVALID', `not a valid image config: ${problem}`, {
    hint: 'Check that the reference names a container image, or rebuild it with a current builder.',
    details: { problem },
  });
}

function strings(value: unknown, where: string): readonly string[] {
  return asArray(value, where, MAX_ENTRIES, invalid).map((entry, index) =>
    asString(entry, `${where}[${index}]`, MAX_TEXT_CHARS, invalid),
  );
}

/** The keys of a map whose values mean nothing (`ExposedPorts`, `Volumes`). */
function keys(value: unknown, where: string): readonly string[] {
  if (value === undefined || value === null) return [];
  const names = Object.keys(asObject(value, where, invalid));
  return asArray(names, where, MAX_ENTRIES, invalid).map((name) =>
    asString(name, `a key of ${where}`, MAX_TEXT_CHARS, invalid),
  );
}

/**
 * Parses an image config. The caller has checked the digest of `bytes`.
 *
 * @throws {HearthError} `IMAGE_CONFIG_INVALID`, also when there is no `rootfs` of type `layers`.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw invalid(`it has ${bytes.byteLength} bytes, at most ${MAX_MANIFEST_BYTES} are read`);
  }
  const object = parseJsonObject(bytes, invalid);
  const run =
    object.config === undefined || object.config === null ? {} : asObject(object.config, 'config', invalid);
  const text = (value: unknown, where: string, max = MAX_TEXT_CHARS): string =>
    asOptionalString(value, where, max, invalid) ?? '';
  const rootfs = asObject(object.rootfs, 'rootfs', invalid);
  if (rootfs.type !== 'layers') throw invalid('rootfs.type is not "layers"');
  const diffIds = asArray(rootfs.diff_ids, 'rootfs.diff_ids', MAX_LAYERS, invalid).map((diffId, index) => {
    if (!isDigest(diffId)) throw invalid(`rootfs.diff_ids[${index}] is not a sha256 or sha512 digest`);
    return diffId;
  });
  const variant = text(object.variant, 'variant', MAX_NAME_CHARS);
  const stopSignal = text(run.StopSignal, 'config.StopSignal', MAX_NAME_CHARS);
  const created = text(object.created, 'created', MAX_NAME_CHARS);
  return {
    os: text(object.os, 'os', MAX_NAME_CHARS),
    architecture: text(object.architecture, 'architecture', MAX_NAME_CHARS),
    ...(variant === '' ? {} : { variant }),
    env: strings(run.Env, 'config.Env'),
    workingDir: text(run.WorkingDir, 'config.WorkingDir'),
    user: text(run.User, 'config.User'),
    entrypoint: strings(run.Entrypoint, 'config.Entrypoint'),
    cmd: strings(run.Cmd, 'config.Cmd'),
    labels: asStringMap(run.Labels, 'config.Labels', MAX_ENTRIES, MAX_TEXT_CHARS, invalid),
    exposedPorts: keys(run.ExposedPorts, 'config.ExposedPorts'),
    volumes: keys(run.Volumes, 'config.Volumes'),
    ...(stopSignal === '' ? {} : { stopSignal }),
    ...(created === '' ? {} : { created }),
    rootfs: { diffIds },
  };
}
