/** Whether `end` comes within `timeoutMs`. Rejects when it does. */
export async function within(timeoutMs: number, end: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const reached = await Promise.race([end.then(() => true), limit]);
  clearTimeout(timer);
  return reached;
}
