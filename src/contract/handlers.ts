/** What carries operations out: one function a row, with the input parsed. */
import type { z } from 'zod';
import type { SandboxProgress } from '../sandboxes/index.js';
import type { Operation } from './operation.js';

export interface OperationProgress extends SandboxProgress {
  /** Where an environment comes from, as far as that is known. */
  readonly source?: string | undefined;
}

export interface OutputPiece {
  readonly stream: 'stdout' | 'stderr';
  /** Valid until the promise that was returned for it has resolved. */
  readonly bytes: Uint8Array;
}

export interface ServiceCallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: OperationProgress) => void;
  /** Of operations with `streams`: is given the output while it comes, and holds the command back until it resolves. */
  readonly onOutput?: (piece: OutputPiece) => void | Promise<void>;
}

/** The functions for a table of operations. */
export type HandlersOf<T extends Readonly<Record<string, Operation>>> = {
  readonly [N in keyof T]: (
    input: z.output<T[N]['input']>,
    options: ServiceCallOptions,
  ) => Promise<z.output<T[N]['output']>>;
};
