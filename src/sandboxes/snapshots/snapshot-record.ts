/** What is written down of a named snapshot, in `snapshot.json` of its directory. */
import { z } from 'zod';

const fileSchema = z.object({
  sizeBytes: z.number().int().nonnegative(),
  mtimeMs: z.number(),
  /** Lower-case hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type RecordedFile = z.infer<typeof fileSchema>;

/** What a saved VM needs to be as it was, beside its own files. */
const machineSchema = z.object({
  /** Of the program on this host: changes when it is replaced. */
  vmm: z.string(),
  /** SHA-256 of the VM's devices and their options. */
  machine: z.string(),
  processor: z.string(),
  kernel: fileSchema,
  /** With the guest agent in it. */
  initrd: fileSchema,
});
export type RecordedMachine = z.infer<typeof machineSchema>;

export const snapshotRecordSchema = z.object({
  schemaVersion: z.literal(1),
  id: z.string().regex(/^snap-[0-9a-f]{12}$/),
  name: z.string(),
  sandboxId: z.string(),
  /** Its name at that time. */
  sandboxName: z.string(),
  environment: z.string(),
  createdAt: z.string(),
  disk: z.object({
    format: z.enum(['raw', 'qcow2']),
    sizeBytes: z.number().int().nonnegative(),
    growPending: z.boolean(),
    /** Nothing had run on it. */
    pristine: z.boolean(),
  }),
  /** Null: only the disk, of a sandbox that did not run. */
  machine: machineSchema.nullable(),
  /** How long the commands of the sandbox stood still for it; 0 when it did not run. */
  pauseMs: z.number().int().nonnegative(),
  /** `disk`, and `memory` and `state` of one that ran. */
  files: z.record(z.string(), fileSchema),
});
export type SnapshotRecord = z.infer<typeof snapshotRecordSchema>;

/** A snapshot as its users see it. */
export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  /** Name of the sandbox, as it is now. */
  readonly sandbox: string;
  readonly sandboxId: string;
  readonly environment: string;
  readonly createdAt: string;
  /** `vm`: memory, processors and disk at one moment · `disk`: only the disk. */
  readonly kind: 'vm' | 'disk';
  readonly pauseMs: number;
  /** What it takes of the host's disk. */
  readonly allocatedBytes: number;
}
