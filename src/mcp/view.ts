/**
 * What one server shows and may do: its profile, its mode, and what the operator has fixed. A model sees the
 * tools and fields that are left, and has no way to more.
 */
import type { EgressPolicy } from '../network/index.js';

export const PROFILES = ['run', 'core', 'full'] as const;
export type Profile = (typeof PROFILES)[number];

export const MODES = ['repro-fix', 'inspect', 'cold-start', 'review-eval'] as const;
export type Mode = (typeof MODES)[number];

/** What the operator decides; no tool has a field that changes it. */
export interface Pins {
  /** The only environments or images there are; empty: any. The first is the default. */
  readonly images: readonly string[];
  /** What every command may reach. Absent: nothing. */
  readonly egress?: EgressPolicy;
  /** Sizes of every VM. One that is absent is the model's to choose, where the profile shows it. */
  readonly cpus?: number;
  readonly memoryMib?: number;
  readonly diskBytes?: number;
  /** Sandboxes of this server that may exist at once. */
  readonly maxSandboxes: number;
  /** The longest a command may run. */
  readonly maxTimeoutMs: number;
  /** A sandbox without a command for so long is stopped; its disk stays. */
  readonly idleTimeoutMs: number;
  /** Bytes of each of stdout and stderr, and of a file, that one result holds. */
  readonly outputBytes: number;
  /** Whether sandboxes that others made are seen too. */
  readonly allSandboxes: boolean;
}

export interface View {
  readonly profile: Profile;
  readonly mode?: Mode;
  readonly pins: Pins;
}

export const DEFAULT_PINS: Pins = {
  images: [],
  maxSandboxes: 8,
  maxTimeoutMs: 60 * 60_000,
  idleTimeoutMs: 30 * 60_000,
  outputBytes: 24 * 1024,
  allSandboxes: false,
};
