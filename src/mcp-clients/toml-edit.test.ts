import { describe, expect, it } from 'vitest';
import { setTomlTable } from './toml-edit.js';

const VALUE = { command: 'x', args: ['mcp'], env: { A: 'b' } };
const TABLE = '[mcp_servers.hearth]\ncommand = "x"\nargs = [ "mcp" ]\n\n[mcp_servers.hearth.env]\nA = "b"\n';

describe('one table of a TOML text', () => {
  it.each([
    ['a blank file', '', TABLE],
    [
      'the end of others',
      '# mine\nmodel = "m"\n\n[x]\ny = 1 # why\n\n\n',
      `# mine\nmodel = "m"\n\n[x]\ny = 1 # why\n\n${TABLE}`,
    ],
    [
      'the place of the old one and its sub-tables, not of their neighbours',
      '[mcp_servers.a]\nb = 1\n\n[mcp_servers.hearth]\ncommand = "old"\nargs = [\n  "x",\n]\n[mcp_servers."hearth".env]\nOLD = "1"\n\n# next\n[mcp_servers.hearth2]\nc = 1\n',
      `[mcp_servers.a]\nb = 1\n\n${TABLE}\n# next\n[mcp_servers.hearth2]\nc = 1\n`,
    ],
    ['lines that end in CR LF', '[x]\r\ny = 1\r\n', `[x]\ny = 1\n\n${TABLE}`.replaceAll('\n', '\r\n')],
  ])('goes into %s', async (_what, before, after) => {
    expect(await setTomlTable(before, ['mcp_servers', 'hearth'], VALUE)).toBe(after);
  });
});
