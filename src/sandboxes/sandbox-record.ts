/** What is written down of a sandbox, in `sandbox.json` of its directory: enough to take it over or clean it up. */
import { z } from 'zod';
import { ERROR_CODES, ERROR_KINDS, type ErrorCode, type ErrorKind } from '../errors/index.js';
import { NO_NETWORK, networkRecordSchema } from './network/network-record.js';
import { SANDBOX_STATES, type SandboxState } from './sandbox-state.js';
import { secretRecordSchema } from './secrets/secret-record.js';
import { workspaceRecordSchema } from './workspace/workspace-record.js';

/** Who or what stopped it: a user's `stop` or `kill`, the guest itself, a limit, or the end of the host. */
export const STOP_REASONS = ['stop', 'kill', 'guest', 'idle', 'shutdown', 'host'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

const isCode = (value: unknown): value is ErrorCode => typeof value === 'string' && value in ERROR_CODES;
const isKind = (value: unknown): value is ErrorKind => typeof value === 'string' && value in ERROR_KINDS;

const failureSchema = z.object({
  code: z.custom<ErrorCode>(isCode),
  kind: z.custom<ErrorKind>(isKind),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()),
});

export const sandboxRecordSchema = z.object({
  schemaVersion: z.literal(1),
  /** 12 hexadecimal digits. */
  id: z.string().regex(/^[0-9a-f]{12}$/),
  name: z.string(),
  labels: z.record(z.string(), z.string()),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  stoppedAt: z.string().nullable(),
  state: z.enum(SANDBOX_STATES),
  stopReason: z.enum(STOP_REASONS).nullable(),
  failure: failureSchema.nullable(),
  environment: z.object({
    name: z.string(),
    directory: z.string(),
    kernelPath: z.string(),
    initrdPath: z.string(),
    /** Absent: `rootfs.ext4` of the directory. */
    rootfsPath: z.string().optional(),
  }),
  disk: z.object({
    /** In the sandbox's directory. */
    fileName: z.string().regex(/^[a-z0-9.]+$/),
    format: z.enum(['raw', 'qcow2']),
    sizeBytes: z.number().int().nonnegative(),
    /** The guest has still to grow its file system to the disk. */
    growPending: z.boolean(),
  }),
  /** Nothing has run on its disk, which is as the environment has it. */
  pristine: z.boolean().default(false),
  /** How its present or last VM came up; null: it never had one, or nobody wrote it down. */
  startKind: z.enum(['cold', 'warm']).nullable().default(null),
  cpus: z.number().int(),
  memoryMib: z.number().int(),
  /** Most processes of all its commands at once; null: no limit. */
  pidsLimit: z.number().int().nullable().default(null),
  accelerator: z.enum(['kvm', 'tcg']),
  acceleratorReason: z.string(),
  /** What commands get unless they say otherwise. */
  defaults: z.object({
    env: z.array(z.string()),
    workdir: z.string(),
    user: z.string(),
  }),
  /** From its creation to its removal, ms; null: no limit. */
  ttlMs: z.number().int().nullable(),
  /** Without a command to its stop, ms; null: no limit. */
  idleTimeoutMs: z.number().int().nullable(),
  ports: z.array(
    z.object({
      address: z.string(),
      /** 0: any free one. */
      hostPort: z.number().int().min(0).max(65_535),
      guestPort: z.number().int().min(1).max(65_535),
      /** The one that listens, or did the last time. */
      published: z.number().int().nullable(),
    }),
  ),
  network: networkRecordSchema.default(NO_NETWORK),
  /** Their values are elsewhere, and on no disk. */
  secrets: z.array(secretRecordSchema).default([]),
  /** The `/workspace` that it was seeded with; null: it has none. */
  workspace: workspaceRecordSchema.nullable().default(null),
  vmm: z.object({ pid: z.number().int().positive(), startTime: z.string(), bootId: z.string() }).nullable(),
});

export type SandboxRecord = z.infer<typeof sandboxRecordSchema>;
export type SandboxDisk = SandboxRecord['disk'];

/** A sandbox as its users see it. */
export interface SandboxInfo
  extends Omit<SandboxRecord, 'schemaVersion' | 'vmm' | 'environment' | 'disk' | 'pristine'> {
  /** Name of the environment it was made from. */
  readonly environment: string;
  readonly diskBytes: number;
  readonly expiresAt: string | null;
  /** Of the VMM on this host, while there is one. */
  readonly pid: number | null;
  /** Whether its agent answers; null: it does not run, or has not been asked yet. */
  readonly health: 'responsive' | 'unresponsive' | null;
}

export function sandboxInfo(record: SandboxRecord, health: SandboxInfo['health'] = null): SandboxInfo {
  const { schemaVersion: _version, pristine: _pristine, vmm, environment, disk, ...rest } = record;
  return {
    ...rest,
    environment: environment.name,
    diskBytes: disk.sizeBytes,
    expiresAt:
      record.ttlMs === null ? null : new Date(Date.parse(record.createdAt) + record.ttlMs).toISOString(),
    pid: vmm?.pid ?? null,
    health,
  };
}

/** States in which there is a VM. */
export function hasVm(state: SandboxState): boolean {
  return state === 'running' || state === 'paused' || state === 'starting' || state === 'stopping';
}
