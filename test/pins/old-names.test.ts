/** The table of old names names nothing that there is not. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMAND_GROUPS } from '../../src/cli/commands.js';
import {
  DOWNLOAD_OPERATIONS,
  OPERATIONS,
  PROCESS_OPERATIONS,
  UPLOAD_OPERATIONS,
} from '../../src/contract/index.js';

const page = readFileSync('docs/old-names.md', 'utf8');
const spans = [...page.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
const commands = COMMAND_GROUPS.flatMap((group) => group.commands.map(({ name }) => name));
const operations = new Set(
  [OPERATIONS, PROCESS_OPERATIONS, DOWNLOAD_OPERATIONS, UPLOAD_OPERATIONS].flatMap((table) =>
    Object.keys(table),
  ),
);
const PREFIXES = new Set([...operations].map((name) => name.split('.')[0]));

it('every command', () => {
  const named = spans
    .filter((span) => span.startsWith('hearth '))
    .map((span) => span.slice('hearth '.length));
  expect(named.length).toBeGreaterThan(80);
  const words = named.map((span) => span.split(' --')[0]);
  expect(words.filter((name) => !commands.some((command) => command === name))).toEqual([]);
});

it('every operation', () => {
  const named = spans.filter((span) => /^[a-z]+\.[a-zA-Z]+$/.test(span) && PREFIXES.has(span.split('.')[0]));
  const properties = new Set(['sandbox.ports', 'sandbox.info']);
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((name) => !operations.has(name) && !properties.has(name))).toEqual([]);
});

it('every tool', () => {
  const tools = readFileSync('test/pins/mcp-tools.golden.txt', 'utf8');
  const lists = [...page.matchAll(/tools? ((?:`\w+`(?:, )?)+)/g)].map(([, list = '']) => list);
  const named = lists.flatMap((list) => [...list.matchAll(/\w+/g)].map(([name]) => name));
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !new RegExp(`^${name} \\(`, 'm').test(tools))).toEqual([]);
});
