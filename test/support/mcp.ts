/** A real client of the Model Context Protocol, on a `hearth mcp` that it starts. */
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { CLI, cliEnvironment } from './cli.js';

/** What a test looks at in the result of a tool. */
export interface McpResult {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Readonly<Record<string, unknown>>;
}

export interface McpSession extends AsyncDisposable {
  readonly client: Client;
  /** Number of the server's process. */
  readonly pid: number | null;
  call(name: string, args?: Readonly<Record<string, unknown>>): Promise<McpResult>;
}

const CALL_TIMEOUT_MS = 240_000;

/** @param negotiation `legacy` opens with `initialize`, as clients of 2025 do; `auto` asks for the newest revision. */
export async function openMcp(
  args: readonly string[] = [],
  negotiation: 'legacy' | 'auto' = 'legacy',
): Promise<McpSession> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [CLI, 'mcp', ...args],
    env: cliEnvironment(),
  });
  return await session(transport, () => transport.pid, negotiation);
}

async function session(
  transport: Parameters<Client['connect']>[0],
  pid: () => number | null,
  mode: 'legacy' | 'auto',
): Promise<McpSession> {
  const client = new Client({ name: 'hearth-test', version: '0' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  return {
    client,
    get pid() {
      return pid();
    },
    async call(name, given = {}) {
      const options = { timeout: CALL_TIMEOUT_MS };
      const result = await client.callTool({ name, arguments: { ...given } }, options);
      const text = result.content.map((part) => (part.type === 'text' ? part.text : '')).join('');
      const { structuredContent: structured = {}, isError = false } = result;
      return { isError, text, structured: structured as Record<string, unknown> };
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}
