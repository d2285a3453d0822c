import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { duplexPair } from '../../../test/support/fake-guest.js';
import { type HearthPaths, hearthPaths } from '../../fsx/index.js';
import { PoolServer } from './pool-server.js';
import { hasPoolSocket, poolSocketPath, readJsonLine } from './pool-socket.js';
import type { WaitingVm } from './waiting-vm.js';

class FakeVm implements WaitingVm {
  readonly id = 'vm1';
  readonly key = 'right';
  readonly guest: Duplex;
  readonly exited: Promise<void>;
  closes = 0;
  exit: () => void = () => {};
  readonly #channel: Duplex;

  constructor() {
    [this.#channel, this.guest] = duplexPair();
    for (const end of [this.#channel, this.guest]) end.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.exit = resolve;
    });
  }

  async claim(): Promise<Duplex> {
    return this.#channel;
  }

  async close(): Promise<void> {
    this.closes += 1;
    this.exit();
  }
}

let home: string;
let paths: HearthPaths;
let vm: FakeVm;
let returned: number;
let server: PoolServer;
const clients: Socket[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-pool-'));
  paths = hearthPaths({ HEARTH_HOME: home });
  await mkdir(paths.runtime, { mode: 0o700 });
  vm = new FakeVm();
  returned = 0;
  const done = (): void => {
    returned += 1;
  };
  server = await PoolServer.listen(paths, (key) => (key === vm.key ? { vm, done } : undefined));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await server.close();
  await rm(home, { recursive: true });
});

async function ask(line: string): Promise<Socket> {
  const client = connect({ path: poolSocketPath(paths) });
  clients.push(client);
  client.on('error', () => {});
  await once(client, 'connect');
  client.write(line);
  return client;
}
const RIGHT = '{"protocol":1,"key":"right"}\n';
const answerOf = async (client: Socket): Promise<unknown> => await readJsonLine(client, 30_000);

describe('the socket of the pool', () => {
  it('is the user’s alone, and is gone with the pool', async () => {
    expect((await stat(poolSocketPath(paths))).mode & 0o777).toBe(0o600);
    expect(await hasPoolSocket(paths)).toBe(true);
    await chmod(paths.runtime, 0o755);
    expect(await hasPoolSocket(paths)).toBe(false);
    await chmod(paths.runtime, 0o700);
    await chmod(poolSocketPath(paths), 0o666);
    expect(await hasPoolSocket(paths)).toBe(false);
    await server.close();
    expect(await hasPoolSocket(paths)).toBe(false);
  });

  it('is the channel of the VM from the answer on, in both directions', async () => {
    const client = await ask(`${RIGHT}hello`);
    expect(await answerOf(client)).toEqual({ vm: 'vm1' });
    const [atGuest] = await once(vm.guest, 'data');
    expect(String(atGuest)).toBe('hello');
    vm.guest.write('from the guest');
    client.resume();
    const [atClient] = await once(client, 'data');
    expect(String(atClient)).toBe('from the guest');
    expect([vm.closes, returned]).toEqual([0, 0]);
  });

  it.each([
    ['says its last word', (client: Socket) => void client.end()],
    ['is cut off', (client: Socket) => void client.destroy()],
  ])('ends the VM when the command %s', async (_how, leave) => {
    const client = await ask(RIGHT);
    await answerOf(client);
    leave(client);
    client.resume();
    if (!client.closed) await once(client, 'close');
    await expect.poll(() => [vm.closes, returned], { timeout: 30_000 }).toEqual([1, 1]);
  });

  it('ends with the VM', async () => {
    const client = await ask(RIGHT);
    await answerOf(client);
    client.resume();
    const ended = once(client, 'end');
    vm.exit();
    await ended;
    await expect.poll(() => [vm.closes, returned], { timeout: 30_000 }).toEqual([1, 1]);
  });

  it('is cut when the pool is closed, and the VM ended', async () => {
    const client = await ask(RIGHT);
    await answerOf(client);
    client.resume();
    const closed = once(client, 'close');
    await server.close();
    await closed;
    await expect.poll(() => vm.closes, { timeout: 30_000 }).toBe(1);
  });

  it.each([
    ['another key', '{"protocol":1,"key":"left"}\n'],
    ['another protocol', '{"protocol":2,"key":"right"}\n'],
    ['no key', '{"protocol":1}\n'],
    ['no object', '"right"\n'],
  ])('has no VM for %s', async (_what, line) => {
    expect(await answerOf(await ask(line))).toEqual({ vm: null });
    expect(vm.closes).toBe(0);
  });

  it.each([
    ['no JSON', 'right\n'],
    ['a line without end', 'x'.repeat(5000)],
  ])('hangs up on %s', async (_what, line) => {
    const client = await ask(line);
    client.resume();
    if (!client.closed) await once(client, 'close');
    expect(vm.closes).toBe(0);
  });

  it('is not waited for longer than said', async () => {
    const client = await ask('');
    await expect(readJsonLine(client, 1)).rejects.toMatchObject({ code: 'DAEMON_PROTOCOL_INVALID' });
  });
});
