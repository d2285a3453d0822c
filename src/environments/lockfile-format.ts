/** The form of lock files: what is installed, to the byte. */
import { HearthError } from '../errors/index.js';
import { exactly, listOf, oneOf, type Shaped, text, whole } from '../shape/index.js';
import { isEnvironmentName, isEnvironmentVersion } from './names.js';

const digest = text({ pattern: /^(?:(?:ext4-)?sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/ });

const lockedSchema = exactly({
  name: text().refine(isEnvironmentName),
  version: text().refine(isEnvironmentVersion),
  platform: text(),
  origin: oneOf('catalog', 'reference', 'registered'),
  reference: text().nullable(),
  generation: whole(0),
  source: text(),
  sourceDigest: digest.nullable(),
  indexDigest: digest.nullable(),
  manifestDigest: digest.nullable(),
  layerDigests: listOf(digest),
  requestedSizeBytes: whole(0).nullable(),
  rootfsDigest: digest,
  kernelName: text().nullable(),
  /** Of `vmlinux`. */
  kernelDigest: digest,
});

const lockfileSchema = exactly({
  lockfileVersion: oneOf(1),
  writerVersion: text(),
  environments: listOf(lockedSchema),
});

export type Lockfile = Shaped<typeof lockfileSchema>;
export type LockedEnvironment = Lockfile['environments'][number];

/** Reads the text of a lock file. @throws {HearthError} `LOCKFILE_INVALID`. */
export function parseLockfile(json: string): Lockfile {
  let problem: string;
  try {
    const reading = lockfileSchema.read(JSON.parse(json));
    if (reading.ok) return reading.value;
    problem = `${reading.field}: ${reading.problem}`;
  } catch {
    problem = 'it is not JSON';
  }
  throw new HearthError('LOCKFILE_INVALID', `not a lock file: ${problem}`, {
    hint: 'Write it anew with `hearth env lock`.',
    details: { problem },
  });
}

/** The text of a lock file: stable, one field a line. */
export function encodeLockfile(lockfile: Lockfile): string {
  return `${JSON.stringify(lockfile, null, 2)}\n`;
}
