/** A client of the protocol on a server in this process, for tests. */
import { Client } from '@modelcontextprotocol/client';
import { type CallToolResult, InMemoryTransport } from '@modelcontextprotocol/server';
import { CallTracker } from './call-tracker.js';
import type { FakeBackend } from './fake-backend.fixture.js';
import { createMcpServer } from './mcp-server.js';
import { DEFAULT_PINS, type Pins, type View } from './view.js';

export const view = (fields: Partial<View> = {}, pins: Partial<Pins> = {}): View => ({
  profile: 'full',
  ...fields,
  pins: { ...DEFAULT_PINS, ...pins },
});

const open: Client[] = [];
export async function closeAll(): Promise<void> {
  for (const client of open.splice(0)) await client.close();
}

export async function connect(backend: FakeBackend, shown: View = view()) {
  const calls = new CallTracker();
  const server = createMcpServer({ view: shown, backend, calls, version: '0' });
  const [here, there] = InMemoryTransport.createLinkedPair();
  const client = new Client({ name: 'test', version: '0' });
  await Promise.all([server.connect(there), client.connect(here)]);
  open.push(client);
  const call = async (name: string, args: object = {}): Promise<CallToolResult> =>
    await client.callTool({ name, arguments: { ...args } });
  return { client, calls, call };
}

export const textOf = ({ content }: CallToolResult): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');
