/**
 * `environment.json`: what is installed in a directory and where it came from. Only this file knows its form.
 *
 * Required are the six fields that every writer has written (`catalog_version`, `name`, `version`, `source`,
 * `source_digest`, `installed_at`); the rest has been added since and is absent in old installs. It holds no
 * paths: the artifacts of an install have fixed names in its own directory.
 */
import { join } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import {
  eitherOf,
  finite,
  listOf,
  mapOf,
  objectOf,
  oneOf,
  type Shaped,
  text,
  whole,
} from '../shape/index.js';
import { isEnvironmentName, isEnvironmentVersion } from './names.js';

export const MANIFEST_FILE = 'environment.json';
export const ROOTFS_FILE = 'rootfs.ext4';
export const KERNEL_FILE = 'vmlinux';
export const INITRD_FILE = 'initrd';
/** Modules of the kernel, paths as below /lib/modules/<release>. */
export const MODULES_DIRECTORY = 'modules';
/** The record of the kernel bundle that the kernel and modules were taken from. */
export const KERNEL_RECORD_FILE = 'kernel.json';

const MANIFEST_SCHEMA = 1;
const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

const digest = text({ pattern: /^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/ });
/** Of a file's bytes, or of an ext4 image's content as `rootfs/` defines it. */
const fileDigest = text({ pattern: /^(?:ext4-)?sha256:[0-9a-f]{64}$/ });
const sizeBytes = whole(0);

const artifactSchema = objectOf({
  digest: fileDigest,
  size_bytes: sizeBytes,
  /** Modification time in ns since 1970, decimal; a file with another one is hashed before it is believed. */
  mtime_ns: text({ pattern: /^-?\d{1,20}$/ }),
});

const manifestSchema = objectOf({
  schema_version: oneOf(MANIFEST_SCHEMA).default(MANIFEST_SCHEMA),
  catalog_version: text(),
  name: text().refine(isEnvironmentName),
  version: text().refine(isEnvironmentVersion),
  source: text(),
  source_digest: digest.nullable(),
  /** A text; old writers wrote seconds since 1970. */
  installed_at: eitherOf(text(), finite()),
  platform: text().optional(),
  /** catalog: the catalog says what it is · reference: from an image that the user named · registered: from the user's files. */
  origin: oneOf('catalog', 'reference', 'registered').default('catalog'),
  /** Canonical reference that was asked for, and its own text is no promise of what it names today. */
  reference: text().nullable().default(null),
  /** Of several installs of one name the one with the highest number is current. */
  generation: whole(0).default(0),
  writer_version: text().nullable().default(null),
  /** Size of the rootfs that was asked for; null when it was left to hearth. */
  requested_size_bytes: sizeBytes.nullable().default(null),
  provenance: objectOf({
    index_digest: digest.nullable().default(null),
    manifest_digest: digest.nullable().default(null),
    config_digest: digest.nullable().default(null),
    layers: listOf(objectOf({ digest, diff_id: digest.nullable(), size_bytes: sizeBytes })).default([]),
  }).default({}),
  /** By file name in the install directory. */
  artifacts: mapOf(artifactSchema).default({}),
  kernel: objectOf({ name: text().nullable(), release: text().nullable(), digest: digest.nullable() })
    .nullable()
    .default(null),
  /** Digest of the guest agent that the initrd was packed with; null when the initrd is not ours. */
  agent_digest: digest.nullable().default(null),
  image_config: objectOf({
    Env: listOf(text()).default([]),
    WorkingDir: text().default(''),
    User: text().default(''),
    Entrypoint: listOf(text()).default([]),
    Cmd: listOf(text()).default([]),
  }).default({}),
  skipped_sources: listOf(objectOf({ source: text(), code: text(), reason: text() })).default([]),
});

export type InstallManifest = Shaped<typeof manifestSchema>;
export type InstalledArtifact = Shaped<typeof artifactSchema>;
/** How to run the image: the part of its config that a guest needs. */
export type EnvironmentImageConfig = InstallManifest['image_config'];
export type Provenance = InstallManifest['provenance'];

/** An image config that says nothing. */
export const EMPTY_IMAGE_CONFIG: EnvironmentImageConfig = {
  Env: [],
  WorkingDir: '',
  User: '',
  Entrypoint: [],
  Cmd: [],
};

export type ManifestReading =
  | { readonly ok: true; readonly manifest: InstallManifest }
  /** `missing`: there is no such file; `invalid`: it is not a manifest that this version understands. */
  | { readonly ok: false; readonly problem: 'missing' | 'invalid'; readonly reason: string };

/** Reads the manifest of an install directory; what is wrong with it is a result, not an error. */
export async function readInstallManifest(directory: string): Promise<ManifestReading> {
  let text: string;
  try {
    text = (await readFileBounded(join(directory, MANIFEST_FILE), MAX_MANIFEST_BYTES)).toString('utf8');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') {
      return { ok: false, problem: 'missing', reason: `there is no ${MANIFEST_FILE}` };
    }
    const reason = HearthError.is(error)
      ? error.message
      : `${MANIFEST_FILE} cannot be read (${errno ?? 'error'})`;
    return { ok: false, problem: 'invalid', reason };
  }
  return parseInstallManifest(text);
}

export function parseInstallManifest(text: string): ManifestReading {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return { ok: false, problem: 'invalid', reason: `${MANIFEST_FILE} is not JSON` };
  }
  const reading = manifestSchema.read(document);
  if (reading.ok) return { ok: true, manifest: reading.value };
  const { field, problem } = reading;
  const newer = field === 'schema_version' ? ' (written by another version of hearth)' : '';
  return {
    ok: false,
    problem: 'invalid',
    reason: `${MANIFEST_FILE}: ${field === '' ? '' : `${field}: `}${problem}${newer}`,
  };
}

/** The bytes of `environment.json`. */
export function encodeInstallManifest(manifest: InstallManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
