/** The operation on the daemon's pool, with its shapes. */
import { z } from 'zod';
import { operation } from './operation.js';

const count = z.number().int().nonnegative();

export const POOL_OPERATIONS = {
  'pool.list': operation({
    doc: 'The VMs that wait for commands in the pool of the daemon, by environment',
    input: z.strictObject({}),
    output: z.object({
      pools: z.array(
        z.object({
          environment: z.string(),
          /** How many shall wait. */
          size: count,
          waiting: count,
          inUse: count,
          /** So many commands got one since the daemon started. */
          claimed: count,
          /** Why the last attempt to make one failed. */
          error: z.string().nullable(),
        }),
      ),
    }),
  }),
} as const;
