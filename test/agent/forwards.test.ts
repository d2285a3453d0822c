/** Connections against the real agent as an ordinary process. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AGENTS, buildAgents, type LocalAgent, startLocalAgent } from '../support/agent.js';

beforeAll(buildAgents);

describe.each(AGENTS)('%s', (_name, path) => {
  let agent: LocalAgent;
  let directory: string;
  const at = (name: string): string => join(directory, name);
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-files-'));
    agent = await startLocalAgent({ path });
  });
  afterEach(async () => {
    await agent.close();
    await rm(directory, { recursive: true });
  });

  describe('connections', () => {
    async function serve(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
      const server = createServer({ allowHalfOpen: true }, onSocket);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
    }

    it('are dialled in the guest, both ways, with half-close', async () => {
      const bytes = randomBytes(2_000_000);
      const { server, port } = await serve((socket) => socket.pipe(socket));
      const duplex = await agent.client.connect({ port });
      duplex.end(bytes);
      expect((await buffer(duplex)).equals(bytes)).toBe(true);
      server.close();
    });

    it('go to unix sockets, too', async () => {
      const server = createServer((socket) => socket.end('unix'));
      await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
      expect(await text(await agent.client.connect({ unixPath: at('socket') }))).toBe('unix');
      server.close();
    });

    it('are refused where nobody listens', async () => {
      const { server, port } = await serve(() => {});
      await new Promise((resolve) => server.close(resolve));
      await expect(agent.client.connect({ port })).rejects.toMatchObject({ code: 'GUEST_CONNECT_REFUSED' });
      await expect(agent.client.connect({ port: 1, host: 'not an address' })).rejects.toMatchObject({
        code: 'AGENT_REQUEST_FAILED',
      });
    });

    it('tell the guest when they are destroyed', async () => {
      const closed = new Promise<void>((resolve) => {
        void serve((socket) => {
          socket.on('error', () => {});
          socket.on('close', () => resolve());
          socket.on('end', () => socket.end());
          socket.resume();
        }).then(async ({ port, server }) => {
          const duplex = await agent.client.connect({ port });
          duplex.write('x');
          await sleep(50);
          duplex.destroy();
          server.close();
        });
      });
      await closed;
    });

    it('are taken in the guest and handed to the host', async () => {
      const listener = await agent.client.listen({ port: 0 }, (duplex: Duplex) => {
        duplex.pipe(duplex);
      });
      const bytes = randomBytes(1_000_000);
      const results = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const { connect } = await import('node:net');
          const socket = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
          socket.end(bytes);
          return (await buffer(socket)).equals(bytes);
        }),
      );
      expect(results).toEqual(Array(20).fill(true));
      listener.close();
      expect(await listener.closed).toMatchObject({ code: 'AGENT_DISCONNECTED' });
      await expect(agent.client.connect({ port: listener.port })).rejects.toMatchObject({
        code: 'GUEST_CONNECT_REFUSED',
      });
    });

    it('are refused on a port that is taken', async () => {
      const { server, port } = await serve(() => {});
      await expect(agent.client.listen({ port }, () => {})).rejects.toMatchObject({
        code: 'AGENT_REQUEST_FAILED',
        details: { errno: 'EADDRINUSE' },
      });
      server.close();
    });

    it('stop a flood that nobody reads', async () => {
      const { server, port } = await serve((socket) => {
        socket.on('error', () => {});
        const flood = (): void => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
        };
        socket.on('drain', flood);
        flood();
      });
      const duplex = await agent.client.connect({ port });
      await sleep(200);
      expect(await agent.client.ping()).toBeGreaterThan(0);
      expect(duplex.readableLength).toBeLessThan(256 * 1024);
      duplex.destroy();
      server.close();
    });
  });
});
