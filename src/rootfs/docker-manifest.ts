/** `manifest.json` of a docker-archive: which images it holds. */
import { HearthError } from '../errors/index.js';

export interface DockerArchiveImage {
  /** Member that holds the config. */
  readonly config: string;
  readonly repoTags: readonly string[];
  /** Members that hold the layers, base layer first. */
  readonly layers: readonly string[];
}

/** @throws {HearthError} `MANIFEST_INVALID`. */
export function readDockerManifest(bytes: Uint8Array): DockerArchiveImage[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid('it is not JSON', error);
  }
  if (!Array.isArray(value)) throw invalid('it is not a list of images');
  return value.map((image: unknown) => {
    if (typeof image !== 'object' || image === null) throw invalid('an image is not an object');
    const { Config: config, RepoTags: repoTags, Layers: layers } = image as Record<string, unknown>;
    if (typeof config !== 'string') throw invalid('an image has no Config');
    if (!isStringList(layers)) throw invalid('an image has no Layers');
    const tags = repoTags ?? [];
    if (!isStringList(tags)) throw invalid('RepoTags is not a list of names');
    return { config, repoTags: tags, layers };
  });
}

function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function invalid(problem: string, cause?: unknown): HearthError {
  return new HearthError('MANIFEST_INVALID', `manifest.json of the archive is not valid: ${problem}`, {
    hint: 'Save the image into an archive again.',
    details: { problem },
    ...(cause === undefined ? {} : { cause }),
  });
}
