/**
 * Every operation, once: what it is called, takes and gives. The daemon, its clients and the
 * in-process service all read this table.
 */
import type { z } from 'zod';
import { BACKGROUND_OPERATIONS } from './background-operations.js';
import { DISK_OPERATIONS } from './disk-operations.js';
import { ENVIRONMENT_OPERATIONS } from './environment-operations.js';
import { FILE_OPERATIONS } from './file-operations.js';
import { NETWORK_OPERATIONS } from './network-operations.js';
import { operation } from './operation.js';
import { POOL_OPERATIONS } from './pool-operations.js';
import { RUN_OPERATIONS } from './run-operations.js';
import * as schemas from './schemas.js';
import { SNAPSHOT_OPERATIONS } from './snapshot-operations.js';
import { startInput } from './snapshot-schemas.js';
import { SUMMARY_OPERATIONS } from './summary-operations.js';
import { WORKSPACE_OPERATIONS } from './workspace-operations.js';

export const OPERATIONS = {
  'sandbox.create': operation({
    doc: 'Make a sandbox from an environment or image; it does not run yet',
    input: schemas.createInput,
    output: schemas.oneSandbox,
    progress: true,
  }),
  'sandbox.start': operation({
    doc: 'Start a sandbox; does nothing when it runs',
    input: startInput,
    output: schemas.oneSandbox,
    progress: true,
  }),
  'sandbox.stop': operation({
    doc: 'Shut a sandbox down; its disk stays',
    input: schemas.stopInput,
    output: schemas.oneSandbox,
  }),
  'sandbox.kill': operation({
    doc: 'End the VM of a sandbox at once; its disk stays',
    input: schemas.referenceInput,
    output: schemas.oneSandbox,
  }),
  'sandbox.remove': operation({
    doc: 'Remove a sandbox and its disk; with force also a running one',
    input: schemas.removeInput,
    output: schemas.removedOutput,
  }),
  'sandbox.list': operation({
    doc: 'All sandboxes, oldest first',
    input: schemas.nothing,
    output: schemas.listOutput,
  }),
  'sandbox.inspect': operation({
    doc: 'Everything about a sandbox and the commands in it',
    input: schemas.referenceInput,
    output: schemas.inspectOutput,
  }),
  'sandbox.update': operation({
    doc: 'Change name, labels, limits and network of a sandbox',
    input: schemas.updateInput,
    output: schemas.oneSandbox,
  }),
  'sandbox.pause': operation({
    doc: 'Let the processors of a sandbox stand still',
    input: schemas.referenceInput,
    output: schemas.oneSandbox,
  }),
  'sandbox.resume': operation({
    doc: 'Let a paused sandbox go on',
    input: schemas.referenceInput,
    output: schemas.oneSandbox,
  }),
  'sandbox.stats': operation({
    doc: 'What a sandbox uses of its host and of its own',
    input: schemas.referenceInput,
    output: schemas.statsOutput,
  }),
  'sandbox.logs': operation({
    doc: 'The end of the console of a sandbox, or what came after a cursor',
    input: schemas.logsInput,
    output: schemas.logsOutput,
  }),
  'exec.kill': operation({
    doc: 'Send a signal to the process group of a command',
    input: schemas.execKillInput,
    output: schemas.nothing,
  }),
  ...RUN_OPERATIONS,
  ...ENVIRONMENT_OPERATIONS,
  ...SNAPSHOT_OPERATIONS,
  ...FILE_OPERATIONS,
  ...DISK_OPERATIONS,
  ...NETWORK_OPERATIONS,
  ...POOL_OPERATIONS,
  ...WORKSPACE_OPERATIONS,
  ...BACKGROUND_OPERATIONS,
  ...SUMMARY_OPERATIONS,
} as const;

/** Operations that are a conversation with a command of the guest rather than an answer. */
export const PROCESS_OPERATIONS = {
  'exec.start': {
    doc: 'Run a command in a sandbox',
    input: schemas.execInput,
  },
  'exec.attach': {
    doc: 'Take up a detached command again, where its output was left',
    input: schemas.attachInput,
  },
} as const;

export type OperationName = keyof typeof OPERATIONS;
export type ProcessOperationName = keyof typeof PROCESS_OPERATIONS;
/** Callers keep what they pass. */
type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
export type OperationInput<N extends OperationName> = DeepReadonly<z.input<(typeof OPERATIONS)[N]['input']>>;
export type OperationOutput<N extends OperationName> = z.output<(typeof OPERATIONS)[N]['output']>;
export type ProcessInput<N extends ProcessOperationName> = DeepReadonly<
  z.input<(typeof PROCESS_OPERATIONS)[N]['input']>
>;

export const isOperation = (name: string): name is OperationName => Object.hasOwn(OPERATIONS, name);
export const isProcessOperation = (name: string): name is ProcessOperationName =>
  Object.hasOwn(PROCESS_OPERATIONS, name);
