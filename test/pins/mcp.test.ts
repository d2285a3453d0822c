/** The tools are an interface: their names and fields, in every profile and mode, change only on purpose. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { toolsOf } from '../../src/mcp/tools/index.js';
import { DEFAULT_PINS, MODES, PROFILES, type View } from '../../src/mcp/view.js';

const views: View[] = [undefined, ...MODES].flatMap((mode) =>
  PROFILES.map((profile) => ({ profile, ...(mode === undefined ? {} : { mode }), pins: DEFAULT_PINS })),
);
/** With all that an operator may add. */
const most: View = {
  profile: 'full',
  pins: { ...DEFAULT_PINS, project: { kind: 'directory', path: '/project' }, allowPorts: true },
};

/** `field field? …`, with what may be left out marked. */
function fieldsOf(schema: z.ZodObject): string {
  const optional = ([field, type]: [string, z.ZodType]): string =>
    type.safeParse(undefined).success ? `${field}?` : field;
  return Object.entries(schema.shape).map(optional).join(' ');
}

it('every profile and mode has these tools with these fields', async () => {
  const text = [...views, most].map((view) => {
    const tools = toolsOf(view).map((tool) =>
      `  ${tool.name}: ${fieldsOf(tool.inputSchema(view))}`.trimEnd(),
    );
    const added = view === most ? ', with a project and ports' : '';
    return [`${view.profile}${view.mode === undefined ? '' : `, ${view.mode}`}${added}`, ...tools, ''].join(
      '\n',
    );
  });
  await expect(text.join('\n')).toMatchFileSnapshot('mcp-fields.golden.txt');
});

it('every tool has this description, these annotations and this output', async () => {
  const view = most;
  const text = toolsOf(view).map((tool) => {
    const hints = Object.entries(tool.annotations)
      .filter(([, isSo]) => isSo)
      .map(([hint]) => hint.replace('Hint', ''));
    return [
      `${tool.name} (${hints.join(', ')}): ${tool.title}`,
      `  ${tool.description(view)}`,
      `  → ${fieldsOf(tool.outputSchema)}`,
      '',
    ].join('\n');
  });
  await expect(text.join('\n')).toMatchFileSnapshot('mcp-tools.golden.txt');
});

it('a list of tools costs little of a conversation', () => {
  const bytes = (profile: View['profile']): number =>
    toolsOf({ profile, pins: DEFAULT_PINS })
      .map(
        (tool) =>
          tool.description({ profile, pins: DEFAULT_PINS }) +
          JSON.stringify(z.toJSONSchema(tool.inputSchema({ profile, pins: DEFAULT_PINS }))),
      )
      .join('').length;
  expect(bytes('core')).toBeLessThan(10_000);
});
