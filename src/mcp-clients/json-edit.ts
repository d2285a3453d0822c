/** Changes one member of a JSON text (RFC 8259) and leaves every other byte as it is. */

interface Span {
  readonly start: number;
  readonly end: number;
}
interface Member {
  readonly name: string;
  readonly value: Span;
}

/**
 * Puts `value` at the end of `names`; objects on the way are made where they are missing.
 *
 * @param text Valid JSON whose root is an object, or blank. Objects on the way must be objects.
 */
export function setJsonMember(text: string, names: readonly string[], value: object): string {
  const source = text.trim() === '' ? '{}\n' : text;
  const newline = source.includes('\r\n') ? '\r\n' : '\n';
  const unit = /\{\r?\n([\t ]+)"/.exec(source)?.[1] ?? '  ';
  const format = (part: object, depth: number): string =>
    JSON.stringify(part, null, unit).replaceAll('\n', newline + unit.repeat(depth));
  let start = source.indexOf('{');
  for (const [depth, name] of names.entries()) {
    const members = membersOf(source, start);
    // Of members with one name the last one counts.
    const member = members.findLast((one) => one.name === name);
    const rest = names.slice(depth + 1);
    if (member === undefined) {
      const inner = rest.reduceRight<object>((part, outer) => ({ [outer]: part }), value);
      const text = `${JSON.stringify(name)}: ${format(inner, depth + 1)}`;
      return insertMember(source, start, members, text, { newline, unit, depth });
    }
    if (rest.length === 0) {
      return source.slice(0, member.value.start) + format(value, depth + 1) + source.slice(member.value.end);
    }
    start = member.value.start;
  }
  return source;
}

function insertMember(
  source: string,
  start: number,
  members: readonly Member[],
  text: string,
  { newline, unit, depth }: { readonly newline: string; readonly unit: string; readonly depth: number },
): string {
  const inner = newline + unit.repeat(depth + 1);
  const last = members.at(-1);
  if (last !== undefined) {
    return `${source.slice(0, last.value.end)},${inner}${text}${source.slice(last.value.end)}`;
  }
  const end = source.indexOf('}', start);
  return `${source.slice(0, start + 1)}${inner}${text}${newline}${unit.repeat(depth)}${source.slice(end)}`;
}

/** The members of the object that begins at `start`. */
function membersOf(source: string, start: number): Member[] {
  const members: Member[] = [];
  let at = skipBlank(source, start + 1);
  while (at < source.length && source[at] !== '}') {
    const name = skipValue(source, at);
    const colon = skipBlank(source, name);
    const value = skipBlank(source, colon + 1);
    const end = skipValue(source, value);
    members.push({ name: JSON.parse(source.slice(at, name)) as string, value: { start: value, end } });
    at = skipBlank(source, end);
    if (source[at] === ',') at = skipBlank(source, at + 1);
  }
  return members;
}

function skipBlank(source: string, from: number): number {
  let at = from;
  while (/[ \t\r\n]/.test(source[at] ?? '')) at += 1;
  return at;
}

/** Where the value that begins at `from` ends. */
function skipValue(source: string, from: number): number {
  if (source[from] === '"') return skipString(source, from);
  let depth = 0;
  for (let at = from; at < source.length; at += 1) {
    const character = source[at] ?? '';
    if (character === '"') at = skipString(source, at) - 1;
    else if (character === '{' || character === '[') depth += 1;
    else if (depth === 0 && /[,}\] \t\r\n]/.test(character)) return at;
    else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return source.length;
}

function skipString(source: string, from: number): number {
  let at = from + 1;
  while (at < source.length && source[at] !== '"') at += source[at] === '\\' ? 2 : 1;
  return at + 1;
}
