/** The shapes of what the operations on environments take and give. */
import { z } from 'zod';

const MAX_TEXT_CHARS = 4096;
const MAX_NAMES = 1000;

const environment = z
  .string()
  .min(1)
  .max(MAX_TEXT_CHARS)
  .describe('Name of an environment, or the reference of an image');
const text = z.string().min(1).max(MAX_TEXT_CHARS);
const hostPath = z
  .string()
  .min(1)
  .max(MAX_TEXT_CHARS)
  .refine((path) => path.startsWith('/') && !path.includes('\0'), 'an absolute path on the host');
const byteCount = z.number().int().nonnegative();
const size = z.object({ apparentBytes: byteCount, allocatedBytes: byteCount });
const origin = z.enum(['catalog', 'reference', 'registered']);

export const noInput = z.strictObject({});
export const environmentInput = z.strictObject({ environment });

export const pullInput = z.strictObject({
  environment,
  name: text.optional().describe('Name for an image; default: made from its reference'),
  kernel: text.optional().describe('Name of the kernel it boots with'),
  sizeBytes: byteCount.optional().describe('Size of its root file system'),
  platform: text.optional(),
  force: z.boolean().optional().describe('Install again what is installed and whole'),
  offline: z.boolean().optional().describe('Never touch the network'),
});

export const registerInput = z.strictObject({
  name: text,
  rootfsPath: hostPath.describe('An ext4 image on the host; it is copied'),
  kernel: text.optional().describe('Name of a kernel; or give kernelPath'),
  kernelPath: hostPath.optional().describe('A vmlinux or vmlinuz on the host'),
  initrdPath: hostPath.optional().describe('An initrd on the host that holds the guest agent'),
  modulesDirectory: hostPath.optional().describe('/lib/modules/RELEASE of kernelPath'),
  force: z.boolean().optional().describe('Replace an environment registered under this name'),
});

export const verifyInput = z.strictObject({
  environments: z.array(environment).max(MAX_NAMES).optional().describe('Default: all that are installed'),
});
export const environmentPruneInput = z.strictObject({ dryRun: z.boolean().optional() });
export const environmentRemoveInput = z.strictObject({
  environment,
  force: z.boolean().optional().describe('Also when a sandbox uses it'),
});

const environmentOutput = z.object({
  name: z.string(),
  version: z.string(),
  platform: z.string(),
  origin,
  reference: z.string().nullable(),
  source: z.string(),
  sourceDigest: z.string().nullable(),
  rootfsDigest: z.string().nullable(),
  kernel: z
    .object({ name: z.string().nullable(), release: z.string().nullable(), digest: z.string().nullable() })
    .nullable(),
  imageConfig: z.object({
    env: z.array(z.string()),
    workingDir: z.string(),
    user: z.string(),
    entrypoint: z.array(z.string()),
    cmd: z.array(z.string()),
  }),
  directory: z.string(),
  rootfsPath: z.string(),
  kernelPath: z.string(),
  initrdPath: z.string().nullable(),
  installedAt: z.string(),
});

export const oneEnvironment = z.object({ environment: environmentOutput });

export const environmentListOutput = z.object({
  environments: z.array(
    z.object({
      name: z.string(),
      aliases: z.array(z.string()),
      version: z.string(),
      description: z.string(),
      state: z.enum(['installed', 'broken', 'available']),
      origin,
      source: z.string().nullable(),
      reference: z.string().nullable(),
      size: size.nullable(),
      isDefault: z.boolean(),
    }),
  ),
});

export const environmentInspectOutput = z.object({
  name: z.string(),
  version: z.string(),
  installed: z.boolean(),
  directory: z.string(),
  /** What is wrong with what is there; empty when nothing is. */
  problems: z.array(z.string()),
  /** null unless it is installed and whole. */
  environment: environmentOutput.nullable(),
  size: size.nullable(),
});

export const verifyOutput = z.object({
  environments: z.array(
    z.object({ name: z.string(), directory: z.string(), ok: z.boolean(), problems: z.array(z.string()) }),
  ),
});

export const environmentPruneOutput = z.object({
  dryRun: z.boolean(),
  freedBytes: byteCount,
  removed: z.array(z.object({ path: z.string(), reason: z.string(), bytes: byteCount })),
  kept: z.array(z.object({ path: z.string(), reason: z.string(), users: z.array(z.string()) })),
});

export const environmentRemoveOutput = z.object({
  name: z.string(),
  removed: z.array(z.string()),
  freedBytes: byteCount,
});
