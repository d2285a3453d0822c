/** How people name sandboxes, and how a name, an id or the beginning of one leads to its sandbox. */
import { HearthError } from '../errors/index.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const MAX_LABELS = 64;
const MAX_LABEL_CHARS = 256;
const SHOWN_CHARS = 64;

interface Named {
  readonly id: string;
  readonly name: string;
}

/** @throws {HearthError} `NAME_INVALID`. */
export function assertSandboxName(name: string): void {
  if (NAME.test(name)) return;
  throw new HearthError(
    'NAME_INVALID',
    `not a name for a sandbox: ${JSON.stringify(name.slice(0, SHOWN_CHARS))}`,
    {
      hint: "Use 1 to 63 letters, digits, '-', '_' and '.', starting with a letter or digit.",
      details: { name: name.slice(0, SHOWN_CHARS) },
    },
  );
}

/** @throws {HearthError} `USAGE_INVALID` for too many or too long labels. */
export function assertLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  const tooLong = entries.find(
    ([key, value]) => key === '' || key.length > MAX_LABEL_CHARS || value.length > MAX_LABEL_CHARS,
  );
  if (entries.length <= MAX_LABELS && tooLong === undefined) return;
  throw new HearthError(
    'USAGE_INVALID',
    `labels: at most ${MAX_LABELS} of at most ${MAX_LABEL_CHARS} characters`,
    {
      hint: 'Write labels as KEY=VALUE, short ones.',
      details: { labelCount: entries.length },
    },
  );
}

/** A name that none of `taken` has: `debian-3f9a` for `debian:12`. */
export function freeName(environment: string, id: string, taken: ReadonlySet<string>): string {
  const base =
    environment
      .replace(/^.*\//, '')
      .replace(/[:@].*$/, '')
      .replace(/[^A-Za-z0-9_.-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 40) || 'sandbox';
  for (let digits = 4; digits < id.length; digits += 1) {
    const name = `${base}-${id.slice(0, digits)}`;
    if (!taken.has(name)) return name;
  }
  return `${base}-${id}`;
}

/**
 * Finds the one that `reference` means: an id, a name, or the beginning of exactly one id, in this order.
 *
 * @throws {HearthError} `SANDBOX_NOT_FOUND`, `SANDBOX_AMBIGUOUS`.
 */
export function findSandbox<T extends Named>(all: Iterable<T>, reference: string): T {
  const sandboxes = [...all];
  const exact =
    sandboxes.find(({ id }) => id === reference) ?? sandboxes.find(({ name }) => name === reference);
  if (exact !== undefined) return exact;
  const shown = reference.slice(0, SHOWN_CHARS);
  const [first, ...more] = /^[0-9a-f]{1,12}$/.test(reference)
    ? sandboxes.filter(({ id }) => id.startsWith(reference))
    : [];
  if (first === undefined) {
    throw new HearthError('SANDBOX_NOT_FOUND', `no sandbox ${JSON.stringify(shown)}`, {
      hint: 'Type `hearth ps --all` for the sandboxes there are.',
      details: { sandbox: shown },
    });
  }
  if (more.length === 0) return first;
  throw new HearthError(
    'SANDBOX_AMBIGUOUS',
    `${more.length + 1} sandboxes have ids that begin with ${shown}`,
    {
      hint: 'Give more digits of the id, or the name.',
      details: { sandbox: shown, matches: [first, ...more].slice(0, 10).map(({ id }) => id) },
    },
  );
}

/** @param changes null removes one. @throws {HearthError} those of `assertLabels`. */
export function mergeLabels(
  labels: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const merged = Object.fromEntries(
    Object.entries({ ...labels, ...changes }).filter((entry): entry is [string, string] => entry[1] !== null),
  );
  assertLabels(merged);
  return merged;
}
