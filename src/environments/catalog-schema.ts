/**
 * The catalog's form: what `catalog/catalog.json` and the user's own `catalog.json` may say.
 * Unknown fields are refused, so that a misspelt one cannot be overlooked.
 */
import { z } from 'zod';
import { isEnvironmentName, isEnvironmentVersion } from './names.js';

const name = z
  .string()
  .refine(isEnvironmentName, 'not a name: use lower-case letters, digits, . - and one :');
const version = z.string().refine(isEnvironmentVersion, 'not a version: use letters, digits and dots');
const digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'not a digest: sha256: and 64 hexadecimal digits')
  .nullable()
  .default(null);
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'not a plain file name');
const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]{0,127}$/, 'not a Debian package name');

const sourceSchema = z.discriminatedUnion('type', [
  /** A directory that ships with hearth and holds `vmlinux` and `rootfs.ext4`. */
  z.strictObject({ type: z.literal('profile'), profile: fileName, digest }),
  /** A container image, or an artifact that holds `vmlinux` and `rootfs.ext4`; `digest` is a manifest's or an index's. */
  z.strictObject({ type: z.literal('oci'), reference: z.string().min(1).max(512), digest }),
  /** A tar.gz or tar.zst with `vmlinux` and `rootfs.ext4` at its root; `digest` is the file's. */
  z.strictObject({
    type: z.literal('archive'),
    url: z.url({ protocol: /^(?:https|file)$/ }),
    digest,
  }),
  /** Packages of a Debian suite, put together on this machine; `digest` is the resulting tar's. */
  z.strictObject({
    type: z.literal('debian-packages'),
    suite: packageName,
    packages: z.array(packageName).max(1000),
    digest,
  }),
]);

export const catalogEntrySchema = z.strictObject({
  name,
  aliases: z.array(name).max(32).default([]),
  version,
  description: z.string().max(500),
  defaultPackages: z.array(packageName).max(1000).default([]),
  distribution: z.string().max(64),
  distributionVersion: z.string().max(64),
  platform: z.literal('linux-x86_64'),
  /** Name of the kernel it boots with unless its source brings one. */
  kernel: name,
  /** Tried in this order. */
  sources: z.array(sourceSchema).min(1).max(16),
});

export const catalogKernelSchema = z.strictObject({
  name,
  version: z.string().min(1).max(64),
  description: z.string().max(500),
  platform: z.literal('linux-x86_64'),
  sources: z
    .array(z.strictObject({ type: z.literal('apt'), package: packageName, digest }))
    .max(16)
    .default([]),
});

export const catalogSchema = z.strictObject({
  catalogVersion: z.string().min(1).max(64),
  defaultEnvironment: name,
  defaultKernel: name.optional(),
  environments: z.array(catalogEntrySchema).max(1000),
  kernels: z.array(catalogKernelSchema).max(1000),
});

/** The user's file: `extend` (the default) adds entries and replaces those of the same name, `replace` forgets ours. */
export const userCatalogSchema = z.strictObject({
  mode: z.enum(['extend', 'replace']).default('extend'),
  catalogVersion: z.string().min(1).max(64).optional(),
  defaultEnvironment: name.optional(),
  defaultKernel: name.optional(),
  environments: z.array(catalogEntrySchema).max(1000).default([]),
  kernels: z.array(catalogKernelSchema).max(1000).default([]),
});

export type CatalogDocument = z.output<typeof catalogSchema>;
export type CatalogEntry = z.output<typeof catalogEntrySchema>;
export type CatalogKernel = z.output<typeof catalogKernelSchema>;
export type CatalogSource = z.output<typeof sourceSchema>;
