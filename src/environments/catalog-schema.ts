/**
 * The catalog's form: what `catalog/catalog.json` and the user's own `catalog.json` may say.
 * Unknown fields are refused, so that a misspelt one cannot be overlooked.
 */
import { exactly, listOf, oneOf, type Shaped, text, variantOf } from '../shape/index.js';
import { isEnvironmentName, isEnvironmentVersion } from './names.js';

const MAX_ENTRIES = 1000;
const MAX_PACKAGES = 1000;

const name = text().refine(isEnvironmentName, 'not a name: use lower-case letters, digits, . - and one :');
const version = text().refine(isEnvironmentVersion, 'not a version: use letters, digits and dots');
const digest = text({
  pattern: /^sha256:[0-9a-f]{64}$/,
  problem: 'not a digest: sha256: and 64 hexadecimal digits',
})
  .nullable()
  .default(null);
const fileName = text({ pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, problem: 'not a plain file name' });
const packageName = text({ pattern: /^[a-z0-9][a-z0-9+.-]{0,127}$/, problem: 'not a Debian package name' });
const packages = listOf(packageName, { most: MAX_PACKAGES });

const sourceSchema = variantOf('type', {
  /** A directory that ships with hearth and holds `vmlinux` and `rootfs.ext4`. */
  profile: exactly({ type: oneOf('profile'), profile: fileName, digest }),
  /** A container image, or an artifact that holds `vmlinux` and `rootfs.ext4`; `digest` is a manifest's or an index's. */
  oci: exactly({ type: oneOf('oci'), reference: text({ least: 1, most: 512 }), digest }),
  /** A tar.gz or tar.zst with `vmlinux` and `rootfs.ext4` at its root; `digest` is the file's. */
  archive: exactly({
    type: oneOf('archive'),
    url: text().refine(isArchiveUrl, 'not an address that begins with https: or file:'),
    digest,
  }),
  /** Packages of a Debian suite, put together on this machine; `digest` is the resulting tar's. */
  'debian-packages': exactly({ type: oneOf('debian-packages'), suite: packageName, packages, digest }),
});

function isArchiveUrl(url: string): boolean {
  return URL.canParse(url) && ['https:', 'file:'].includes(new URL(url).protocol);
}

const catalogEntrySchema = exactly({
  name,
  aliases: listOf(name, { most: 32 }).default([]),
  version,
  description: text({ most: 500 }),
  defaultPackages: packages.default([]),
  distribution: text({ most: 64 }),
  distributionVersion: text({ most: 64 }),
  platform: oneOf('linux-x86_64'),
  /** Name of the kernel it boots with unless its source brings one. */
  kernel: name,
  /** Tried in this order. */
  sources: listOf(sourceSchema, { least: 1, most: 16 }),
});

const catalogKernelSchema = exactly({
  name,
  version: text({ least: 1, most: 64 }),
  description: text({ most: 500 }),
  platform: oneOf('linux-x86_64'),
  sources: listOf(exactly({ type: oneOf('apt'), package: packageName, digest }), { most: 16 }).default([]),
});

const environments = listOf(catalogEntrySchema, { most: MAX_ENTRIES });
const kernels = listOf(catalogKernelSchema, { most: MAX_ENTRIES });

export const catalogSchema = exactly({
  catalogVersion: text({ least: 1, most: 64 }),
  defaultEnvironment: name,
  defaultKernel: name.optional(),
  environments,
  kernels,
});

/** The user's file: `extend` (the default) adds entries and replaces those of the same name, `replace` forgets ours. */
export const userCatalogSchema = exactly({
  mode: oneOf('extend', 'replace').default('extend'),
  catalogVersion: text({ least: 1, most: 64 }).optional(),
  defaultEnvironment: name.optional(),
  defaultKernel: name.optional(),
  environments: environments.default([]),
  kernels: kernels.default([]),
});

export type CatalogDocument = Omit<Shaped<typeof catalogSchema>, 'defaultKernel'> & {
  readonly defaultKernel?: string | undefined;
};
export type CatalogEntry = Shaped<typeof catalogEntrySchema>;
export type CatalogKernel = Shaped<typeof catalogKernelSchema>;
export type CatalogSource = Shaped<typeof sourceSchema>;
