/**
 * What one server shows and may do: its profile, its mode, and what the operator has fixed. A model sees the
 * tools and fields that are left, and has no way to more.
 */
import type { ProjectSource } from './project-source.js';

export const PROFILES = ['run', 'core', 'full'] as const;
export type Profile = (typeof PROFILES)[number];

export const MODES = ['repro-fix', 'inspect', 'cold-start', 'review-eval'] as const;
export type Mode = (typeof MODES)[number];

export interface NetworkPin {
  /** public: every public host · full: a network device, unfiltered. */
  readonly network?: 'none' | 'public' | 'full';
  readonly allowHosts?: readonly string[];
}

/** What the operator decides; no tool has a field that changes it. */
export interface Pins {
  /** The only environments or images there are; empty: any. The first is the default. */
  readonly images: readonly string[];
  /** What every VM may reach by HTTP and HTTPS. Empty: nothing. */
  readonly network: NetworkPin;
  /** What `/workspace` of a sandbox begins with. Absent: nothing. */
  readonly project?: ProjectSource;
  /** Whether ports of sandboxes may be published on the host's loopback. */
  readonly allowPorts: boolean;
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
  network: {},
  allowPorts: false,
  maxSandboxes: 8,
  maxTimeoutMs: 60 * 60_000,
  idleTimeoutMs: 30 * 60_000,
  outputBytes: 24 * 1024,
  allSandboxes: false,
};
