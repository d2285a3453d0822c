/** What the operations on snapshots take and give. */
import { z } from 'zod';
import { sandboxReference } from './schemas.js';

export const startInput = z.strictObject({
  sandbox: sandboxReference,
  cold: z.boolean().optional().describe('Boot, rather than resume a VM that has booted before'),
});
