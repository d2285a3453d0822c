import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, it } from 'vitest';
import { SESSION_HEADER, Sessions } from './sessions.js';

const HANDSHAKE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '0' } },
};

function post(body: object, session?: string): Request {
  return new Request('http://localhost/mcp', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(session === undefined ? {} : { [SESSION_HEADER]: session }),
    },
    body: JSON.stringify(body),
  });
}

async function open(sessions: Sessions): Promise<{ id: string; done: () => void }> {
  const { response, done } = await sessions.answer(post(HANDSHAKE));
  await response.text();
  return { id: response.headers.get(SESSION_HEADER) ?? '', done };
}

const newServer = (): McpServer =>
  new McpServer({ name: 't', version: '0' }, { capabilities: { tools: {} } });
const ping = { jsonrpc: '2.0', id: 2, method: 'ping' };

describe('sessions', () => {
  it('are as many as there may be; one more takes the place of the one used longest ago', async () => {
    const sessions = new Sessions(newServer, 2);
    const first = await open(sessions);
    const second = await open(sessions);
    for (const { done } of [first, second]) done();
    const used = await sessions.answer(post(ping, first.id));
    expect(used.response.status).toBe(200);
    await used.response.text();
    used.done();
    (await open(sessions)).done();
    expect(sessions.count).toBe(2);
    expect((await sessions.answer(post(ping, second.id))).response.status).toBe(404);
    const still = await sessions.answer(post(ping, first.id));
    expect(still.response.status).toBe(200);
    await sessions.close();
    expect(sessions.count).toBe(0);
  });

  it('that are all at work leave no place', async () => {
    const sessions = new Sessions(newServer, 1);
    const busy = await open(sessions);
    await expect(sessions.answer(post(HANDSHAKE))).rejects.toMatchObject({ code: 'REQUESTS_TOO_MANY' });
    busy.done();
    (await open(sessions)).done();
    await sessions.close();
  });

  it('end when their client says so', async () => {
    const sessions = new Sessions(newServer, 1);
    const { id, done } = await open(sessions);
    done();
    const request = new Request('http://localhost/mcp', {
      method: 'DELETE',
      headers: { [SESSION_HEADER]: id },
    });
    const { response, done: deleted } = await sessions.answer(request);
    deleted();
    expect([response.status, sessions.count]).toEqual([200, 0]);
  });

  it('are not made by what is no handshake', async () => {
    const sessions = new Sessions(newServer, 1);
    const { response, done } = await sessions.answer(post(ping));
    done();
    expect([response.status, sessions.count]).toEqual([400, 0]);
  });
});
