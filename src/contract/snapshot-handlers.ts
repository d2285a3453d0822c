/** The operations on snapshots, carried out here. */
import type { Snapshots } from '../sandboxes/index.js';
import type { HandlersOf } from './handlers.js';
import type { SNAPSHOT_OPERATIONS } from './snapshot-operations.js';

export function snapshotHandlers(snapshots: Snapshots): HandlersOf<typeof SNAPSHOT_OPERATIONS> {
  return {
    'sandbox.reset': async ({ sandbox, cold }, options) => ({
      sandbox: { ...(await snapshots.reset(sandbox, { ...options, cold })) },
    }),
    'sandbox.restore': async ({ sandbox, name, diskOnly }, options) => ({
      sandbox: { ...(await snapshots.restore(sandbox, name, { ...options, diskOnly })) },
    }),
    'sandbox.fork': async ({ sandbox, ...wishes }, options) => {
      const { sandboxes, pauseMs } = await snapshots.fork(sandbox, { ...wishes, ...options });
      return { sandboxes: sandboxes.map((copy) => ({ ...copy })), pauseMs };
    },
    'snapshot.create': async ({ sandbox, name }, options) => ({
      snapshot: { ...(await snapshots.create(sandbox, name, options)) },
    }),
    'snapshot.list': async ({ sandbox }) => ({ snapshots: [...(await snapshots.list(sandbox))] }),
    'snapshot.remove': async ({ sandbox, name }) => ({
      snapshot: { ...(await snapshots.remove(sandbox, name)) },
    }),
  };
}
