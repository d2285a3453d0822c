/** What pulling an environment tells while it goes on. */
import type { ErrorCode } from '../errors/index.js';

/**
 * resolve: finding out what a name means and where it comes from · kernel: fetching one, beside the rest ·
 * download: bytes are arriving · convert: the ext4 image is being written · install: boot artifacts are put
 * together and published · ready: the environment can be booted.
 */
export type EnvironmentPhase = 'resolve' | 'kernel' | 'download' | 'convert' | 'install' | 'ready';

export interface EnvironmentProgress {
  readonly phase: EnvironmentPhase;
  /** Name of the environment. */
  readonly environment: string;
  /** Source being used, as the manifest will name it as far as it is known. */
  readonly source?: string;
  /** One line for people, for example why the source before this one was not used. */
  readonly message?: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export type OnEnvironmentProgress = (progress: EnvironmentProgress) => void;

/** A source that came before the one used, and why it was passed over. */
export interface SkippedSource {
  readonly source: string;
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Options that every long operation of this folder takes. */
export interface OperationOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnEnvironmentProgress | undefined;
}
