/** A real client of the Model Context Protocol, on a `hearth mcp` that it starts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
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
    args: [CLI, 'mcp', ...withProject(args)],
    env: cliEnvironment(),
  });
  return await session(transport, () => transport.pid, negotiation);
}

/** Tests run in a work tree of Git, which they do not mean. */
const withProject = (args: readonly string[]): readonly string[] =>
  args.includes('--project-path') ? args : ['--no-project-source', ...args];

/** The same over HTTP, on a port of its own choice. */
export async function openMcpOverHttp(
  args: readonly string[] = [],
  negotiation: 'legacy' | 'auto' = 'legacy',
): Promise<McpSession> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-mcp-'));
  const tokenFile = join(directory, 'token');
  const listen = ['--listen', '127.0.0.1:0', '--token-file', tokenFile];
  const server = spawn(process.execPath, [CLI, 'mcp', ...listen, ...withProject(args)], {
    env: cliEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(server, 'close');
  const stop = async (): Promise<void> => {
    server.kill('SIGTERM');
    await ended;
    await rm(directory, { recursive: true });
  };
  try {
    const url = await readUrl(server.stderr);
    const authorization = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers: { authorization } } });
    const opened = await session(transport, () => server.pid ?? null, negotiation);
    return {
      ...opened,
      async [Symbol.asyncDispose]() {
        await opened[Symbol.asyncDispose]();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readUrl(stderr: AsyncIterable<Buffer>): Promise<URL> {
  let text = '';
  for await (const chunk of stderr) {
    text += chunk.toString();
    const [url] = /http:\S+/.exec(text) ?? [];
    if (url !== undefined && text.endsWith('\n')) return new URL(url);
  }
  throw new Error(`no URL: ${text}`);
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
