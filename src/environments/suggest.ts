/** "Did you mean": known names near a mistyped one. */

const MAX_TYPED_CHARS = 128;

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, replaced));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/**
 * The known names that a user may have meant, nearest first, at most three: those within a third of
 * their length in edits, and those that begin with what was typed or that it begins with.
 */
export function suggestNames(typed: string, known: readonly string[]): string[] {
  const text = typed.slice(0, MAX_TYPED_CHARS).toLowerCase();
  if (text === '') return [];
  return [...new Set(known)]
    .map((name) => ({ name, distance: editDistance(text, name), related: isPrefixOfOther(text, name) }))
    .filter(({ name, distance, related }) => related || distance <= Math.ceil(name.length / 3))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}

function isPrefixOfOther(a: string, b: string): boolean {
  return a.length >= 3 && b.length >= 3 && (a.startsWith(b) || b.startsWith(a));
}
