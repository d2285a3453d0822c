/** The agent as PID 1: what needs a kernel of its own. The exec contract is in test/agent. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { truncate } from 'node:fs/promises';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildAgents, collect, execute, until } from '../support/agent.js';
import { type AgentVm, bootAgentVm } from '../support/agent-vm.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;

describe('the guest agent in a VM', () => {
  let guest: AgentVm;
  beforeAll(async () => {
    await buildAgents();
    guest = await bootAgentVm({ rootMib: 64, diskMib: 128, kernelArgs: ['hearth.hostname=box'] });
  });
  afterAll(() => guest?.close());
  const sh = async (script: string): Promise<string> =>
    (await execute(guest.client, { argv: ['sh', '-c', script] })).stdout;

  it('says what it is', () => {
    expect(guest.client.info).toMatchObject({ isGuest: true, hasCgroups: true, generation: 1 });
    expect(guest.client.info.kernel).toMatch(/^6\.\d+\.\d+/);
    expect(guest.client.info.bootId).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });

  it('has prepared the guest', async () => {
    expect(await sh('hostname; cat /etc/hosts')).toBe(
      'box\n127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tbox\n',
    );
    expect(await sh('cut -d" " -f2,3 /proc/mounts')).toBe(
      [
        '/proc proc',
        '/sys sysfs',
        '/dev devtmpfs',
        '/ ext4',
        '/dev/pts devpts',
        '/dev/shm tmpfs',
        '/dev/mqueue mqueue',
        '/run tmpfs',
        '/sys/fs/cgroup cgroup2',
        '',
      ].join('\n'),
    );
    expect(await sh('for name in fd stdin stdout stderr; do readlink /dev/$name; done')).toBe(
      '/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n',
    );
    expect(await sh('cat /sys/class/net/lo/operstate; ifconfig lo | grep -c 127.0.0.1')).toBe('unknown\n1\n');
    expect(await sh('ulimit -Sn; ulimit -Hn; umask')).toBe('1024\n524288\n0022\n');
    expect(await sh('cat /proc/1/oom_score_adj /proc/self/oom_score_adj')).toBe('-1000\n0\n');
    expect(await sh('ls -a /newroot /hearth 2>&1 | grep -c "No such"')).toBe('2\n');
    // Set at the greeting, from the first command on; the time that the greeting took may be lacking.
    const asked = Date.now() / 1000;
    const guestSeconds = Number(await sh('date +%s'));
    expect(guestSeconds).toBeGreaterThan(asked - 3);
    expect(guestSeconds).toBeLessThan(Date.now() / 1000 + 1);
  });

  it('runs commands in every way', async () => {
    const bytes = randomBytes(500_000);
    const cat = guest.client.exec({ argv: ['cat'], stdin: true });
    cat.stdin?.end(bytes);
    expect((await buffer(cat.stdout)).equals(bytes)).toBe(true);
    expect((await cat.exited).exitCode).toBe(0);
    expect((await execute(guest.client, { argv: ['sh', '-c', 'id -u; id -G'], user: 'alice' })).stdout).toBe(
      '1000\n1000 10 29\n',
    );
    expect((await execute(guest.client, { argv: ['nope'] })).exit.exitCode).toBe(127);
    expect((await execute(guest.client, { argv: ['tty'], tty: { rows: 10, columns: 20 } })).stdout).toBe(
      '/dev/pts/0\r\n',
    );
  });

  it('reaps what commands leave behind', async () => {
    await sh('for i in 1 2 3 4 5; do (sleep 0.1 &) ; done');
    await until(
      async () => (await sh('grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l')) === '0\n',
      'no zombie',
    );
  });

  it('kills at the time limit also what left the process group', async () => {
    const { exit } = await execute(guest.client, {
      argv: ['sh', '-c', 'setsid sleep 1000 & setsid sh -c "sleep 1001 & wait" & sleep 1002'],
      timeoutMs: 1000,
    });
    expect(exit).toMatchObject({ exitCode: 124, timedOut: true });
    await until(async () => (await sh('pgrep -f "^sleep 100[012]" | wc -l')) === '0\n', 'nothing of it runs');
  });

  it('cannot be killed from inside', async () => {
    await sh('kill -9 1; kill -SEGV 1; kill -TERM 1; echo i > /proc/sysrq-trigger');
    expect(await guest.client.ping()).toBeGreaterThan(0);
    expect(await sh('cat /proc/1/comm')).toBe('init\n');
  });

  it('holds a command to its number of processes', async () => {
    const { stdout, stderr, exit } = await execute(guest.client, {
      argv: ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all'],
      pidsMax: 4,
      timeoutMs: 20_000,
    });
    expect(stdout).toBe('');
    expect(stderr).toContain('fork');
    expect(exit.exitCode).not.toBe(0);
    // A limit is not inherited by the next command in the same group.
    expect(await sh('for i in 1 2 3 4 5 6 7 8; do sleep 0.01 & done; wait; echo all')).toBe('all\n');
  });

  it('tells when a command is killed for its memory', async () => {
    const hungry = ['sh', '-c', 'x=$(dd if=/dev/zero bs=1M count=60 2>/dev/null | tr "\\0" x); echo done'];
    const { exit } = await execute(guest.client, { argv: hungry, memoryMaxBytes: 16 * MIB });
    expect(exit).toMatchObject({ oomKilled: true, exitCode: 137 });
    expect((await execute(guest.client, { argv: ['sh', '-c', 'kill -9 $$'] })).exit).toMatchObject({
      oomKilled: false,
      exitCode: 137,
    });
  });

  it('survives a guest that runs out of memory', async () => {
    const hungry = 'x=x; while :; do x=$x$x$x$x; done';
    const { exit } = await execute(guest.client, { argv: ['sh', '-c', hungry], timeoutMs: 120_000 });
    expect(exit).toMatchObject({ oomKilled: true });
    expect(await guest.client.ping()).toBeGreaterThan(0);
  });

  it('sets the clock, forwards and backwards', async () => {
    await sh('date -s @1000000000');
    expect(await guest.client.setClock()).toBeLessThan(-1e6);
    const asked = Date.now() / 1000;
    const guestSeconds = Number(await sh('date +%s'));
    expect(guestSeconds).toBeGreaterThan(asked - 3);
    expect(guestSeconds).toBeLessThan(Date.now() / 1000 + 1);
    await sh('date -s @4000000000');
    expect(await guest.client.setClock()).toBeGreaterThan(1e6);
    expect(Math.abs(await guest.client.setClock())).toBeLessThan(5000);
  });

  it('takes entropy, and reseeds by it', async () => {
    for (const sizeBytes of [1, 32, 4096]) await guest.client.addEntropy(randomBytes(sizeBytes));
    for (const sizeBytes of [0, 4097]) {
      await expect(guest.client.addEntropy(new Uint8Array(sizeBytes))).rejects.toMatchObject({
        code: 'USAGE_INVALID',
      });
    }
    expect(Number(await sh('cat /proc/sys/kernel/random/entropy_avail'))).toBe(256);
  });

  it('takes a name and a machine id', async () => {
    await guest.client.setHostname('other', { persist: true });
    await guest.client.setMachineId('0123456789abcdef0123456789abcdef');
    expect(await sh('hostname; cat /etc/hostname /etc/machine-id')).toBe(
      'other\nother\n0123456789abcdef0123456789abcdef\n',
    );
    await guest.client.setHostname('x'.repeat(64));
    expect(await sh('hostname; cat /etc/hostname')).toBe(`${'x'.repeat(64)}\nother\n`);
    await expect(guest.client.setHostname('')).rejects.toMatchObject({ code: 'AGENT_REQUEST_FAILED' });
    for (const bad of ['', '0123', '0123456789ABCDEF0123456789ABCDEF', `../${'0'.repeat(29)}`]) {
      await expect(guest.client.setMachineId(bad)).rejects.toMatchObject({ code: 'AGENT_REQUEST_FAILED' });
    }
  });

  it('configures an interface', async () => {
    await guest.client.setNetwork({ interface: 'lo', address: '127.0.0.1/8', nameservers: ['127.0.0.53'] });
    expect(await sh('cat /etc/resolv.conf')).toBe('nameserver 127.0.0.53\n');
    await expect(guest.client.setNetwork({ interface: 'eth9' })).rejects.toMatchObject({
      code: 'AGENT_REQUEST_FAILED',
      details: { errno: 'ENODEV' },
    });
  });

  it('grows the root file system to its disk', async () => {
    const before = (await guest.client.stats()).diskTotalBytes;
    expect(before).toBeLessThan(64 * MIB);
    expect(await guest.client.growRoot({ sizeBytes: 96 * MIB })).toBe(96 * MIB);
    expect(await guest.client.growRoot()).toBe(128 * MIB);
    expect((await guest.client.stats()).diskTotalBytes).toBeGreaterThan(before + 50 * MIB);
    expect(await guest.client.growRoot()).toBe(128 * MIB);
  });

  it('reports a full disk as such, and goes on', async () => {
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(256 * 1024, 1);
    })();
    await expect(guest.client.files.write('/full', endless)).rejects.toMatchObject({
      code: 'GUEST_DISK_FULL',
    });
    expect((await guest.client.stats()).diskAvailableBytes).toBeGreaterThan(50 * MIB);
    expect(await sh('ls /full 2>&1 | grep -c "No such"; ls -a / | grep -c hearth')).toBe('1\n0\n');
  });

  it('freezes and thaws', async () => {
    await guest.client.freeze();
    const writer = guest.client.exec({ argv: ['sh', '-c', 'echo x > /frozen; sync; echo written'] });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await guest.client.ping()).toBeGreaterThan(0);
    await guest.client.thaw();
    expect((await collect(writer)).stdout).toBe('written\n');
    await expect(guest.client.thaw()).rejects.toMatchObject({ code: 'AGENT_REQUEST_FAILED' });
  });

  it('tells figures that make sense', async () => {
    const stats = await guest.client.stats();
    expect(stats.memoryTotalBytes).toBeGreaterThan(100 * MIB);
    expect(stats.memoryTotalBytes).toBeLessThan(192 * MIB);
    expect(stats.memoryAvailableBytes).toBeLessThan(stats.memoryTotalBytes);
    expect(stats.processCount).toBeGreaterThan(1);
    expect(stats.inodeFreeCount).toBeLessThan(stats.inodeCount);
  });

  it('carries connections both ways', async () => {
    const bytes = randomBytes(200_000);
    const server = guest.client.exec({ argv: ['nc', '-l', '-p', '8080', '-e', 'cat'] });
    await until(
      async () => (await sh('netstat -tln | grep -c :8080 || true')) === '1\n',
      'the server to listen',
    );
    const duplex = await guest.client.connect({ port: 8080 });
    duplex.write(bytes);
    let echoed = Buffer.alloc(0);
    for await (const chunk of duplex) {
      echoed = Buffer.concat([echoed, chunk as Buffer]);
      if (echoed.byteLength >= bytes.byteLength) break;
    }
    expect(echoed.equals(bytes)).toBe(true);
    server.kill('SIGKILL');
    await server.exited;
    const listener = await guest.client.listen({ port: 3128 }, (peer) => {
      peer.end('from the host\n');
    });
    expect(await sh('nc 127.0.0.1 3128 < /dev/null')).toBe('from the host\n');
    listener.close();
  });

  it('keeps files of any size and kind', async () => {
    const content = randomBytes(3_000_000);
    await guest.client.files.write('/root/deep/file', content, { parents: true, mode: 0o600, uid: 1000 });
    expect(await sh('sha256sum /root/deep/file | cut -c1-64; stat -c "%a %u %g" /root/deep/file')).toBe(
      `${(await import('node:crypto')).createHash('sha256').update(content).digest('hex')}\n600 1000 0\n`,
    );
    expect(await text(guest.client.files.open('/proc/sys/kernel/ostype'))).toBe('Linux\n');
  });

  it('flushes everything, then ends the VM', async () => {
    await guest.client.files.write('/last', Buffer.from('words'));
    const survivor = guest.client.exec({
      argv: ['sh', '-c', 'trap "echo bye; exit 3" TERM; echo up; sleep 1000 & wait'],
    });
    await new Promise((resolve) => survivor.stdout.once('data', resolve));
    await guest.client.shutdown({ graceMs: 30_000 });
    expect((await survivor.exited).exitCode).toBe(3);
    expect(await guest.vm.exited).toMatchObject({ exitCode: 0 });
    expect((await guest.client.closed).code).toBe('AGENT_DISCONNECTED');
    await run('e2fsck', ['-fn', guest.imagePath], { env: { PATH: '/usr/sbin:/sbin' } });
    const { stdout } = await run('debugfs', ['-R', 'cat /last', guest.imagePath], {
      env: { PATH: '/usr/sbin:/sbin' },
    });
    expect(stdout).toBe('words');
    await truncate(guest.imagePath, 0);
  });
});

describe('a guest that ends by itself', () => {
  it.each([
    ['reboots', 'reboot -f'],
    ['panics', 'echo c > /proc/sysrq-trigger'],
  ])('%s: the channel closes and calls fail', async (_name, script) => {
    const guest = await bootAgentVm();
    try {
      const command = guest.client.exec({ argv: ['sh', '-c', script] });
      const other = guest.client.exec({ argv: ['sleep', '1000'] });
      await expect(other.exited).rejects.toMatchObject({ code: 'AGENT_DISCONNECTED' });
      await Promise.allSettled([command.exited]);
      await guest.vm.exited;
    } finally {
      await guest.close();
    }
  });

  it('without a root file system is told as such', async () => {
    await expect(bootAgentVm({ kernelArgs: ['hearth.rootfstype=xfs'] })).rejects.toMatchObject({
      cause: { code: 'AGENT_BOOT_FAILED' },
    });
  });

  it('mounts the root read-only when told to', async () => {
    const guest = await bootAgentVm({ kernelArgs: ['hearth.rootflags=ro'] });
    try {
      const { stdout } = await execute(guest.client, {
        argv: ['sh', '-c', 'touch /x 2>&1; echo in /run > /run/x; cat /run/x'],
      });
      expect(stdout).toBe('touch: /x: Read-only file system\nin /run\n');
      await guest.client.shutdown();
      await guest.vm.exited;
    } finally {
      await guest.close();
    }
  });
});
