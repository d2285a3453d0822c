/** What a source of environments is: something that puts a rootfs, and perhaps a kernel, into a staging directory. */
import type { Digest } from '../oci/index.js';
import type { EnvironmentImageConfig, Provenance } from './install-manifest.js';
import type { EnvironmentPhase } from './progress.js';

export interface SourceRequest {
  /** Name of the environment, for messages. */
  readonly environment: string;
  /** An empty directory of ours; what a source leaves in it beside the artifacts must go to `scratch`. */
  readonly staging: string;
  /** A directory inside `staging` that is removed before the install is published. */
  readonly scratch: string;
  /** Size of the rootfs; undefined leaves it to the converter. */
  readonly sizeBytes: number | undefined;
  readonly offline: boolean;
  /** True when another source follows: an unreachable one should give up within seconds. */
  readonly hasFallback: boolean;
  readonly signal: AbortSignal | undefined;
  report(phase: EnvironmentPhase, progress?: SourceProgress): void;
}

export interface SourceProgress {
  readonly message?: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

/** What a source has put into the staging directory: always `rootfs.ext4`. */
export interface ObtainedArtifacts {
  /** Label for the manifest: where the bytes came from. */
  readonly source: string;
  /** Digest of what the label names: a manifest, an archive, a tar; null when it has none. */
  readonly sourceDigest: Digest | null;
  /** Digest of `rootfs.ext4` when the source knows it already. */
  readonly rootfsDigest: string | undefined;
  readonly provenance: Provenance;
  readonly imageConfig: EnvironmentImageConfig;
  /** True when `vmlinux` (and whatever initrd and modules belong to it) is in the staging directory too. */
  readonly hasKernel: boolean;
}

/** One way to get an environment. */
export interface SourceAttempt {
  /** For messages: `oci docker.io/library/debian:12`. */
  readonly label: string;
  /** False for a source that most hosts do not have, so that its absence is no news. Default true. */
  readonly isExpected?: boolean;
  /** Whether its bytes come with a kernel of their own, so that none has to be fetched. */
  readonly kernel: 'brought' | 'needed' | 'unknown';
  obtain(request: SourceRequest): Promise<ObtainedArtifacts>;
}

/** Nothing known about where the bytes came from. */
export const EMPTY_PROVENANCE: Provenance = {
  index_digest: null,
  manifest_digest: null,
  config_digest: null,
  layers: [],
};
