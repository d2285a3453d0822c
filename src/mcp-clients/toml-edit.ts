/** Changes one table of a TOML text and leaves every other line as it is. */

/** Loaded when a TOML file is at hand: most clients have JSON. */
const library = async () => await import('smol-toml');

export async function parseToml(text: string): Promise<unknown> {
  return (await library()).parse(text);
}

export async function tomlOf(value: object): Promise<string> {
  return `${(await library()).stringify(value).trimEnd()}\n`;
}

/**
 * Puts a table under its header, in place of the lines that it and its sub-tables had, or at the end. A table that
 * is written otherwise (inline, dotted keys) is not found: the caller compares what comes out.
 *
 * @param text Valid TOML.
 */
export async function setTomlTable(text: string, names: readonly string[], value: object): Promise<string> {
  const whole = names.reduceRight<object>((part, name) => ({ [name]: part }), value);
  const table = (await tomlOf(whole)).trimEnd().split('\n');
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(/\r?\n/);
  const kept: string[] = [];
  let place: number | undefined;
  for (let at = 0; at < lines.length; ) {
    const header = headerOf(lines[at] ?? '');
    const next = nextHeader(lines, at + 1);
    if (header === undefined || !names.every((name, depth) => header[depth] === name)) {
      kept.push(...lines.slice(at, next));
    } else {
      place ??= kept.length;
      // Blank lines and comments before the next header are that one's.
      kept.push(...lines.slice(endOfTable(lines, at, next), next));
    }
    at = next;
  }
  if (place !== undefined) kept.splice(place, 0, ...table);
  else {
    while (kept.at(-1)?.trim() === '') kept.pop();
    kept.push(...(kept.length === 0 ? [] : ['']), ...table, '');
  }
  return kept.join(newline);
}

function nextHeader(lines: readonly string[], from: number): number {
  const next = lines.findIndex((line, at) => at >= from && headerOf(line) !== undefined);
  return next < 0 ? lines.length : next;
}

function endOfTable(lines: readonly string[], start: number, next: number): number {
  let end = next;
  while (end > start + 1 && /^\s*(#.*)?$/.test(lines[end - 1] ?? '')) end -= 1;
  return end;
}

/** The names in `[a."b".c]`; undefined for every other line. */
function headerOf(line: string): readonly string[] | undefined {
  const [, inner] = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/.exec(line) ?? [];
  if (inner === undefined) return undefined;
  const names = inner.match(/"(?:[^"\\]|\\.)*"|'[^']*'|[^\s."']+/g) ?? [];
  return names.map((name) => name.replace(/^(["'])(.*)\1$/, '$2'));
}
