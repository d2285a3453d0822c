/**
 * The kernel bundle: a directory with everything a microVM boots from, except the guest agent.
 *
 *     kernel.json      this record
 *     vmlinux          uncompressed ELF with a PVH entry
 *     modules/…        expanded modules, paths as below /lib/modules/<release>
 *
 * A bundle is complete when its directory has its final name. Only this file knows the form of kernel.json.
 */
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';

export const BUNDLE_SCHEMA = 1;
export const RECORD_FILE = 'kernel.json';
export const VMLINUX_FILE = 'vmlinux';
export const MODULES_DIRECTORY = 'modules';

/** Where the bytes of a bundle came from. */
export type KernelOrigin =
  | { readonly kind: 'apt'; readonly package: string; readonly version: string }
  | { readonly kind: 'import'; readonly kernel: string; readonly modules: string | null };

export interface BundleFile {
  /** Below the bundle's directory. */
  readonly path: string;
  readonly sizeBytes: number;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
}

export interface BundleModule {
  readonly name: string;
  /** Below `modules/`. */
  readonly path: string;
  /** Modules of this bundle to load before. */
  readonly requires: readonly string[];
}

export interface KernelRecord {
  readonly schema: typeof BUNDLE_SCHEMA;
  readonly name: string;
  /** What the guest reports as `uname -r`. */
  readonly release: string;
  readonly origin: KernelOrigin;
  readonly files: readonly BundleFile[];
  /** In an order in which they can be loaded. */
  readonly modules: readonly BundleModule[];
  /** RFC 3339, UTC. */
  readonly createdAt: string;
}

export interface KernelBundle extends KernelRecord {
  readonly directory: string;
  readonly vmlinuxPath: string;
  /** Stands for the exact bytes of the whole bundle: the digest of its vmlinux and modules. */
  readonly digest: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** @throws {HearthError} `NAME_INVALID` unless it is 1 to 64 of `a-z 0-9 . _ -`, ends being letters or digits. */
export function assertKernelName(name: string): void {
  if (NAME.test(name)) return;
  throw new HearthError('NAME_INVALID', `not a kernel name: ${JSON.stringify(name)}`, {
    hint: 'Use up to 64 lower-case letters, digits, dots, dashes and underscores.',
    details: { name },
  });
}

/**
 * Reads kernel.json.
 *
 * @param name Name of the directory it stands in.
 * @throws {HearthError} `KERNEL_CORRUPT` saying what is wrong; also when its name is not `name`.
 */
export function parseKernelRecord(text: string, name: string): KernelRecord {
  const fail = (why: string): HearthError => kernelCorrupt(name, why);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail(`${RECORD_FILE} is not JSON`);
  }
  const record = asObject(value, RECORD_FILE, fail);
  if (record.schema !== BUNDLE_SCHEMA) {
    throw fail(`${RECORD_FILE} has schema ${JSON.stringify(record.schema)}, expected ${BUNDLE_SCHEMA}`);
  }
  const recordName = asString(record.name, 'name', fail);
  if (recordName !== name) throw fail(`${RECORD_FILE} is that of ${JSON.stringify(recordName)}`);

  const files = asArray(record.files, 'files', fail).map((item, index): BundleFile => {
    const file = asObject(item, `files[${index}]`, fail);
    const digest = asString(file.digest, `files[${index}].digest`, fail);
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw fail(`files[${index}].digest is not a digest`);
    if (!Number.isSafeInteger(file.sizeBytes) || Number(file.sizeBytes) < 0) {
      throw fail(`files[${index}].sizeBytes is not a size`);
    }
    return {
      path: asPath(file.path, `files[${index}].path`, fail),
      sizeBytes: Number(file.sizeBytes),
      digest,
    };
  });
  if (!files.some(({ path }) => path === VMLINUX_FILE)) throw fail(`${RECORD_FILE} lists no ${VMLINUX_FILE}`);

  const modules = asArray(record.modules, 'modules', fail).map((item, index): BundleModule => {
    const module = asObject(item, `modules[${index}]`, fail);
    const path = asPath(module.path, `modules[${index}].path`, fail);
    if (!files.some((file) => file.path === `${MODULES_DIRECTORY}/${path}`)) {
      throw fail(`module ${path} is not among the files`);
    }
    return {
      name: asString(module.name, `modules[${index}].name`, fail),
      path,
      requires: asArray(module.requires, `modules[${index}].requires`, fail).map((needed) =>
        asString(needed, `modules[${index}].requires`, fail),
      ),
    };
  });
  return {
    schema: BUNDLE_SCHEMA,
    name,
    release: asString(record.release, 'release', fail),
    origin: parseOrigin(record.origin, fail),
    files,
    modules,
    createdAt: asString(record.createdAt, 'createdAt', fail),
  };
}

/** A finished bundle as the rest of hearth sees it. */
export function toBundle(record: KernelRecord, directory: string, digest: string): KernelBundle {
  return { ...record, directory, vmlinuxPath: join(directory, VMLINUX_FILE), digest };
}

export function kernelCorrupt(name: string, why: string): HearthError {
  return new HearthError('KERNEL_CORRUPT', `kernel ${name} is damaged: ${why}`, {
    hint: `Remove it with \`hearth kernel rm ${name}\`; the next run that needs it fetches it again.`,
    details: { name, why },
  });
}

type Fail = (why: string) => HearthError;

function parseOrigin(value: unknown, fail: Fail): KernelOrigin {
  const origin = asObject(value, 'origin', fail);
  switch (origin.kind) {
    case 'apt':
      return {
        kind: 'apt',
        package: asString(origin.package, 'origin.package', fail),
        version: asString(origin.version, 'origin.version', fail),
      };
    case 'import':
      return {
        kind: 'import',
        kernel: asString(origin.kernel, 'origin.kernel', fail),
        modules: origin.modules === null ? null : asString(origin.modules, 'origin.modules', fail),
      };
    default:
      throw fail(`origin.kind ${JSON.stringify(origin.kind)} is not known`);
  }
}

function asObject(value: unknown, where: string, fail: Fail): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fail(`${where} is not an object`);
  }
  return { ...value };
}

function asArray(value: unknown, where: string, fail: Fail): unknown[] {
  if (!Array.isArray(value)) throw fail(`${where} is not a list`);
  return value;
}

function asString(value: unknown, where: string, fail: Fail): string {
  if (typeof value !== 'string' || value === '') throw fail(`${where} is not a text`);
  return value;
}

function asPath(value: unknown, where: string, fail: Fail): string {
  const path = asString(value, where, fail);
  if (path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw fail(`${where} is not a path inside the bundle`);
  }
  return path;
}
