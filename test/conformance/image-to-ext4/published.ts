/** The tables of the suite as a page: docs/conformance.md. Every row of it is a test. */
import { ATTRIBUTE_CASES } from './attribute-cases.js';
import { CONTAINED_CASES, HOSTILE_CASES } from './hostile-cases.js';
import { MERGE_CASES, REFUSAL_CASES } from './merge-cases.js';
import { UMOCI_DIFFERS } from './umoci.js';

const INTRODUCTION = `# Conformance: layers → ext4

Every row is a test of \`test/conformance/image-to-ext4\`: the layers go through a whole build, \`e2fsck -fn\` has
nothing to say about the image, and the tree is read back by debugfs and, as root, through a mount by the kernel.
The rules themselves are in [layers.md](layers.md). The column umoci says whether \`umoci unpack\` 0.4.7 comes to
the same tree; the suite checks that column too.

Beside the tables, random stacks of layers are merged and compared with a plain model of the rules
(\`test/conformance/image-to-ext4/model.ts\`), on trees in memory and through the kernel.

This page is made by \`HEARTH_PUBLISH=1 npx vitest run --project parts test/conformance/image-to-ext4/published\`.
`;

export function publishedPage(): string {
  const rows = (lines: ReadonlyArray<readonly string[]>): string =>
    lines.map((cells) => `| ${cells.map(escaped).join(' | ')} |`).join('\n');
  const umoci = (title: string, same: string): string => UMOCI_DIFFERS[title] ?? same;
  const hostile = HOSTILE_CASES.map(({ what, code }) => [what, `\`${code}\``]);
  return `${INTRODUCTION}
## Merging

| rule | hearth | umoci |
|---|---|---|
${rows(MERGE_CASES.map(([rule]) => [rule, 'as stated', umoci(rule, 'same')]))}

## What single entries keep

| what | read back |
|---|---|
${rows(ATTRIBUTE_CASES.map(([what]) => [what, 'exact']))}

## Hostile layers that are contained

| what | becomes |
|---|---|
${rows(CONTAINED_CASES.map(([what, , lines]) => [what, lines.map((line) => `\`${line.split(' = ')[0]}\``).join(' ')]))}

## What is refused while merging

| what | code | umoci |
|---|---|---|
${rows(REFUSAL_CASES.map(([what, , code]) => [what, `\`${code}\``, umoci(what, 'refuses it')]))}

## What is refused in whole builds

| what | code |
|---|---|
${rows(hostile)}
`;
}

function escaped(cell: string): string {
  return cell.replaceAll('|', '\\|');
}
