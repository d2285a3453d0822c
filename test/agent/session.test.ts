/** Sessions that end and begin anew on one channel, and commands that outlive them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect as connectSocket, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AgentClient, connectAgent, type ExecSpec } from '../../src/agent/index.js';
import { EXEC, encodeFrame, encodeMessage } from '../../src/protocol/index.js';
import { AGENTS, buildAgents, collect, execute, shell, spawnAgent, until } from '../support/agent.js';
import { duplexPair } from '../support/fake-guest.js';

beforeAll(buildAgents);

/** A channel that stays while hosts come and go, as a virtio-serial port does. */
class Port {
  readonly #channel: Duplex;
  #host: Duplex | undefined;

  constructor(channel: Duplex) {
    this.#channel = channel;
    channel.on('data', (chunk: Buffer) => this.#host?.write(chunk));
    channel.on('close', () => this.#host?.destroy());
  }

  /** The next host's end; what the last one was sent and has not read is lost. */
  plug(): Duplex {
    const [host, inside] = duplexPair();
    inside.on('data', (chunk: Buffer) => this.#channel.write(chunk));
    this.#host = inside;
    return host;
  }

  raw(bytes: Uint8Array): void {
    this.#channel.write(bytes);
  }
}

describe.each(AGENTS)('%s', (_name, path) => {
  let port: Port;
  let client: AgentClient;
  let end: () => Promise<void>;
  const connect = async (): Promise<AgentClient> => {
    client = await connectAgent(port.plug(), { timeoutMs: 60_000 });
    return client;
  };
  beforeEach(async () => {
    const { process, channel } = spawnAgent(path);
    port = new Port(channel);
    const ended = once(process, 'exit');
    end = async () => {
      channel.destroy();
      expect(await ended).toEqual([0, null]);
    };
    await connect();
  });
  afterEach(() => end());

  const detached = (script: string, ringBytes = 65_536): ExecSpec => ({
    ...shell(script),
    detached: { ringBytes },
  });
  const running = async (pid: number): Promise<boolean> =>
    (
      await execute(
        client,
        shell(`kill -0 ${pid} 2>/dev/null && ! grep -q "State:.Z" /proc/${pid}/status && echo yes`),
      )
    ).stdout !== '';

  describe('a new session', () => {
    it('kills what is not detached and starts clean', async () => {
      const old = client.exec(shell('exec sleep 60'));
      const { pid } = await old.started;
      await connect();
      await until(async () => !(await running(pid)), 'the command to be killed');
      expect((await execute(client, shell('echo new'))).stdout).toBe('new\n');
    });

    it('is not confused by a flood that the last one left', async () => {
      const flood = client.exec({ argv: ['yes'] });
      flood.stdout.resume();
      await flood.started;
      for (let round = 0; round < 10; round++) {
        await connect();
        const next = client.exec({ argv: ['yes'] });
        next.stdout.resume();
        expect((await execute(client, shell('echo mine'))).stdout).toBe('mine\n');
      }
    });

    it('begins after a frame that broke off', async () => {
      const payload = new Uint8Array(200_000);
      const broken = Buffer.concat(encodeFrame({ streamId: 1000, type: EXEC.type, payload }));
      for (const lengthBytes of [1, 8, 9, 10, 100_000]) {
        port.raw(broken.subarray(0, lengthBytes));
        await sleep(120);
        await connect();
        expect((await execute(client, shell('echo whole'))).stdout).toBe('whole\n');
      }
    });

    it('begins after bytes that are no frames', async () => {
      const running = client.exec(shell('exec sleep 60'));
      await running.started;
      port.raw(Buffer.alloc(300_000, 0xff));
      await connect();
      expect((await execute(client, shell('echo whole'))).stdout).toBe('whole\n');
    });

    it('does not begin by a HELLO inside of data', async () => {
      const hello = Buffer.from('00000024000000000168727468 8f0d0a1a'.replace(' ', ''), 'hex');
      const input = Buffer.concat(Array.from({ length: 500 }, () => hello));
      const guest = client.exec({ ...shell('cat'), stdin: true });
      guest.stdin?.end(input);
      expect((await buffer(guest.stdout)).equals(input)).toBe(true);
    });
  });

  describe('a malformed request', () => {
    it('is refused on its stream alone', async () => {
      port.raw(Buffer.concat(encodeFrame({ streamId: 2000, type: EXEC.type, payload: new Uint8Array(3) })));
      // The answer to a stream that this side never opened is an offence here.
      expect(await client.closed).toMatchObject({
        code: 'AGENT_PROTOCOL_INVALID',
        details: { streamId: 2000 },
      });
      await connect();
      expect(await client.ping()).toBeGreaterThan(0);
    });

    it('of an unknown type is refused, too', async () => {
      port.raw(Buffer.concat(encodeFrame({ streamId: 2000, type: 0x7f, payload: new Uint8Array() })));
      expect(await client.closed).toMatchObject({ details: { streamId: 2000, type: 4 } });
      await connect();
      expect(encodeMessage(EXEC, { ...emptyExec }).byteLength).toBeGreaterThan(40);
    });
    const emptyExec = {
      flags: 0,
      timeoutMs: 0,
      graceMs: 0,
      windowBytes: 0,
      ringBytes: 0,
      rows: 0,
      columns: 0,
      pidsMax: 0,
      memoryMaxBytes: 0,
      user: '',
      cwd: '',
      argv: ['true'],
      env: [],
      rlimits: [],
    };
  });

  describe('a detached command', () => {
    it('outlives its host and is taken up where it was left', async () => {
      const guest = client.exec(
        detached('i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; exit 7'),
      );
      const { execId } = await guest.started;
      let seen = '';
      guest.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
      });
      await until(async () => seen.length > 30, 'some lines');
      const left = seen;
      await connect();
      const again = client.attach(execId, { stdout: left.length, stderr: 0 });
      expect((await again.started).stdoutCursor).toBe(left.length);
      const { stdout, exit } = await collect(again);
      expect(left + stdout).toBe(Array.from({ length: 30 }, (_, line) => `line ${line}\n`).join(''));
      expect(exit).toMatchObject({ exitCode: 7, lostBytes: 0 });
    });

    it('keeps its end and its output until it is forgotten', async () => {
      const { execId } = await client.exec(detached('echo out; echo err >&2; kill -TERM $$')).started;
      await until(async () => (await client.listExecs()).every((record) => !record.running), 'the end');
      await connect();
      expect(await client.listExecs()).toMatchObject([
        {
          execId,
          running: false,
          detached: true,
          attached: false,
          signal: 'SIGTERM',
          stdoutBytes: 4,
          name: '/bin/sh',
        },
      ]);
      for (let round = 0; round < 2; round++) {
        const { stdout, stderr, exit } = await collect(client.attach(execId, { stdout: 0, stderr: 0 }));
        expect([stdout, stderr, exit.signal]).toEqual(['out\n', 'err\n', 'SIGTERM']);
      }
      await client.forgetExec(execId);
      expect(await client.listExecs()).toEqual([]);
      await expect(client.forgetExec(execId)).rejects.toMatchObject({ code: 'EXEC_UNKNOWN' });
      await expect(client.attach(execId, { stdout: 0, stderr: 0 }).exited).rejects.toMatchObject({
        code: 'EXEC_UNKNOWN',
      });
    });

    it('does not wait for a reader: the oldest output is lost and counted', async () => {
      const { execId } = await client.exec(detached('exec >&2 2>/dev/null; seq 1 100000 >&1; echo end', 4096))
        .started;
      await client.exec(detached('seq 1 100000', 4096)).started.then(async (start) => {
        await connect();
        await until(async () => (await client.listExecs()).every((record) => !record.running), 'both ends');
        const again = client.attach(start.execId, { stdout: 0, stderr: 0 });
        const { stdoutCursor } = await again.started;
        const { stdout, exit } = await collect(again);
        const whole = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('');
        expect(exit.stdoutBytes).toBe(whole.length);
        expect(stdoutCursor + stdout.length).toBe(whole.length);
        expect(stdout).toBe(whole.slice(stdoutCursor));
        expect(stdout.length).toBe(4096);
        expect(exit.lostBytes).toBeGreaterThan(0);
      });
      await client.forgetExec(execId);
    });

    it('waits for a reader that is there', async () => {
      const guest = client.exec(detached('seq 1 200000', 8192));
      await guest.started;
      await sleep(200);
      const [out, , exit] = await Promise.all([text(guest.stdout), text(guest.stderr), guest.exited]);
      expect(out.endsWith('\n200000\n')).toBe(true);
      expect(out.length).toBe(exit.stdoutBytes);
      expect(exit.lostBytes).toBe(0);
    });

    it('has one reader at a time', async () => {
      const guest = client.exec(detached('exec sleep 60'));
      const { execId } = await guest.started;
      await expect(client.attach(execId, { stdout: 0, stderr: 0 }).exited).rejects.toMatchObject({
        code: 'EXEC_CONFLICT',
      });
      await expect(client.forgetExec(execId)).rejects.toMatchObject({ code: 'EXEC_CONFLICT' });
      guest.abandon(new Error('leaving'));
      await expect(guest.exited).rejects.toThrow('leaving');
      const again = client.attach(execId, { stdout: 0, stderr: 0 });
      await again.started;
      again.kill('SIGKILL');
      expect((await again.exited).signal).toBe('SIGKILL');
    });

    it('takes input and signals from whoever is there', async () => {
      const { execId } = await client.exec({ ...detached('read a; echo got $a; exec sleep 60'), stdin: true })
        .started;
      await connect();
      const again = client.attach(execId, { stdout: 0, stderr: 0 }, { stdin: true });
      await again.started;
      again.stdin?.write('words\n');
      expect(String((await once(again.stdout, 'data'))[0])).toBe('got words\n');
      await client.killExec(execId, 'SIGTERM', 'group');
      expect((await again.exited).signal).toBe('SIGTERM');
      await expect(client.killExec(999, 'SIGTERM', 'group')).rejects.toMatchObject({ code: 'EXEC_UNKNOWN' });
    });

    it('keeps its time limit', async () => {
      const { execId } = await client.exec({ ...detached('sleep 60'), timeoutMs: 300 }).started;
      await connect();
      expect(await client.attach(execId, { stdout: 0, stderr: 0 }).exited).toMatchObject({
        timedOut: true,
        exitCode: 124,
      });
    });

    it('is dropped, oldest first, when too many have ended', async () => {
      const order: number[] = [];
      for (let count = 0; count < 70; count++) {
        const guest = client.exec(detached('true', 4096));
        order.push((await guest.started).execId);
        await guest.exited;
      }
      const kept = (await client.listExecs()).map(({ execId }) => execId);
      expect(kept.sort((a, b) => a - b)).toEqual(order.slice(-64));
    });
  });

  describe('a listening socket', () => {
    it('takes one host after the other', async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address() as AddressInfo;
      const handle = (server as unknown as { _handle: { fd: number } })._handle;
      const child = spawn(path, ['--serve-fd', '3'], {
        stdio: ['ignore', 'inherit', 'inherit', handle.fd],
        env: {},
      });
      // The agent has the socket now; this process must not take its connections.
      server.close();
      const host = (): Promise<AgentClient> =>
        connectAgent(connectSocket(address.port, '127.0.0.1'), { timeoutMs: 60_000 });
      const first = await host();
      const { execId } = await first.exec(detached('echo kept; exec sleep 60')).started;
      const second = await host();
      expect(await first.closed).toMatchObject({ code: 'AGENT_DISCONNECTED' });
      const again = second.attach(execId, { stdout: 0, stderr: 0 });
      expect(String((await once(again.stdout, 'data'))[0])).toBe('kept\n');
      second.close();
      const third = await host();
      expect(await third.listExecs()).toMatchObject([{ execId, running: true, attached: false }]);
      await third.shutdown();
      expect(await once(child, 'exit')).toEqual([0, null]);
    });
  });

  describe('a shutdown', () => {
    it('asks, then kills, then answers and ends', async () => {
      const polite = client.exec(
        shell('trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.05; done'),
      );
      await once(polite.stdout, 'data');
      const stubborn = client.exec(shell('trap "" TERM; echo ready; while :; do sleep 0.05; done'));
      await once(stubborn.stdout, 'data');
      await client.shutdown({ graceMs: 5000 });
      expect((await polite.exited).exitCode).toBe(3);
      expect((await stubborn.exited).signal).toBe('SIGKILL');
      expect((await client.closed).code).toBe('AGENT_DISCONNECTED');
    });

    it('does not touch what is not the agent’s', async () => {
      await expect(client.setClock()).rejects.toMatchObject({ code: 'AGENT_REQUEST_UNSUPPORTED' });
      await expect(client.setHostname('x')).rejects.toMatchObject({ code: 'AGENT_REQUEST_UNSUPPORTED' });
      await expect(client.freeze()).rejects.toMatchObject({ code: 'AGENT_REQUEST_UNSUPPORTED' });
    });
  });
});
