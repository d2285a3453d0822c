/** One writer per name. */
import { withLock } from '../fsx/index.js';
import type { StoreContext } from './context.js';
import type { OperationOptions } from './progress.js';
import { sweepStagings } from './sweep.js';

/** Longer than any build: a dead holder frees its lock at once. */
const LOCK_TIMEOUT_MS = 6 * 3_600_000;
/** Runs `body` as the only one who changes `name`, with nothing of dead writers left. */
export async function withNameLock<T>(
  name: string,
  options: OperationOptions,
  context: StoreContext,
  body: () => Promise<T>,
): Promise<T> {
  await context.layout.prepareForWriting();
  const { signal } = options;
  return await withLock(
    context.layout.lockPath(name),
    async () => {
      await sweepStagings(context.layout, { heldName: name });
      return await body();
    },
    { timeoutMs: LOCK_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) },
  );
}
