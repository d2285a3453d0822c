/** The operations on snapshots: sandboxes that go back, and their copies. */
import { oneSandbox } from './schemas.js';
import * as schemas from './snapshot-schemas.js';

export const SNAPSHOT_OPERATIONS = {
  'sandbox.reset': {
    doc: 'Give a sandbox back its first disk; it runs again when it ran',
    input: schemas.startInput,
    output: oneSandbox,
    progress: true,
  },
  'sandbox.restore': {
    doc: 'Take a sandbox back to one of its snapshots',
    input: schemas.restoreInput,
    output: oneSandbox,
    progress: true,
  },
  'sandbox.fork': {
    doc: 'Make sandboxes that go on from where this one is, or from one of its snapshots',
    input: schemas.forkInput,
    output: schemas.forkOutput,
    progress: true,
  },
  'snapshot.create': {
    doc: 'Save a sandbox under a name: memory and disk of one moment when it runs, else its disk',
    input: schemas.snapshotInput,
    output: schemas.oneSnapshot,
    progress: true,
  },
  'snapshot.list': {
    doc: 'The snapshots of a sandbox, or of all, oldest first',
    input: schemas.snapshotListInput,
    output: schemas.snapshotListOutput,
  },
  'snapshot.remove': {
    doc: 'Remove a snapshot of a sandbox',
    input: schemas.snapshotInput,
    output: schemas.oneSnapshot,
  },
} as const;
