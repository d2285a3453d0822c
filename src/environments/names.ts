/**
 * Names of environments and kernels, and the directories they live in.
 *
 * `debian:12` version `1.0.0` on linux-x86_64 lives in `linux-x86_64/debian_12-1.0.0`. Names have no
 * `_` and versions no `-`, so no two of them share a directory.
 */
import { HearthError } from '../errors/index.js';

/** What the parts of a reference have to be to derive a name; a parsed reference fits. */
export interface NamedReference {
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}

const MAX_NAME_CHARS = 128;
const NAME = /^[a-z0-9]+(?:[.-]+[a-z0-9]+)*(?::[a-z0-9]+(?:[.-]+[a-z0-9]+)*)?$/;
const VERSION = /^[a-z0-9]+(?:\.[a-z0-9]+)*$/;
const DIGEST_CHARS_IN_NAME = 12;

export function isEnvironmentName(text: string): boolean {
  return text.length <= MAX_NAME_CHARS && NAME.test(text);
}

export function isEnvironmentVersion(text: string): boolean {
  return text.length <= MAX_NAME_CHARS && VERSION.test(text);
}

/**
 * Checks a name that a user chose for an environment: lower-case letters, digits, single `.` and `-`
 * between them, at most one `:`, at most 128 characters.
 *
 * @throws {HearthError} `NAME_INVALID`.
 */
export function assertEnvironmentName(text: string): string {
  if (isEnvironmentName(text)) return text;
  const name = text.slice(0, MAX_NAME_CHARS);
  throw new HearthError('NAME_INVALID', `not a name for an environment: ${JSON.stringify(name)}`, {
    hint: 'Use lower-case letters, digits, dots and dashes, for example --name my-tools.',
    details: { name },
  });
}

/**
 * The name that an environment gets from its reference: the last part of the repository and the tag,
 * joined by a dash, everything but letters and digits a dash: `alpine:3.20` → `alpine-3-20`. No tag and
 * `latest` add nothing; a reference with only a digest adds its first twelve characters.
 */
export function nameFromReference(reference: NamedReference): string {
  const last = reference.repository.slice(reference.repository.lastIndexOf('/') + 1);
  const hex = reference.digest?.slice(reference.digest.indexOf(':') + 1);
  const tag = reference.tag === 'latest' ? undefined : reference.tag;
  const suffix = reference.tag === undefined ? hex?.slice(0, DIGEST_CHARS_IN_NAME) : tag;
  const raw = suffix === undefined ? last : `${last}-${suffix}`;
  const dashed = raw
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, MAX_NAME_CHARS)
    .replace(/-+$/, '');
  return dashed === '' ? 'image' : dashed;
}

/** The directory name of an installed environment, inside its platform's directory. */
export function installDirectoryName(name: string, version: string): string {
  return `${safeName(name)}-${version}`;
}

/** The name as a file name. */
export function safeName(name: string): string {
  return name.replaceAll(':', '_');
}
