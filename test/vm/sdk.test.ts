/** One suite for both ways to use hearth from a program: through the daemon, and in this process. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type EnvironmentSummary,
  Hearth,
  type HearthMode,
  type OutputEvent,
  type Sandbox,
} from '../../src/index.js';
import { hearth as cli, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const MODES: readonly HearthMode[] = ['daemon', 'in-process'];

describe.each(MODES)('the SDK, %s,', (mode) => {
  let daemon: RunningDaemon | undefined;
  let hearth: Hearth;
  let sandbox: Sandbox;
  const phases: string[] = [];

  beforeAll(async () => {
    await cli(['serve', '--stop']);
    if (mode === 'daemon') daemon = await serve(SHARED_HOME);
    hearth = await Hearth.open({ mode, home: SHARED_HOME });
    sandbox = await hearth.sandboxes.create({
      image: 'debian:12',
      memoryMib: 256,
      labels: { test: 'sdk' },
      env: { OF: 'sandbox' },
      ports: ['8080'],
      onProgress: ({ phase }) => phases.push(phase),
    });
  });
  afterAll(async () => {
    await sandbox?.remove();
    await hearth?.close();
    await daemon?.[Symbol.asyncDispose]();
  });

  it('tells the phases of what it makes', () => {
    expect(phases).toContain('clone');
    // Booted, or resumed after a boot before.
    expect(phases.some((phase) => phase === 'boot' || phase === 'resume')).toBe(true);
    expect(sandbox.info).toMatchObject({ state: 'running', labels: { test: 'sdk' }, memoryMib: 256 });
  });

  it('gives exit code and output, and does not throw for a code other than 0', async () => {
    const result = await sandbox.exec(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(result).toMatchObject({
      exitCode: 7,
      signal: null,
      timedOut: false,
      truncated: false,
      stdout: 'out\n',
      stderr: 'err\n',
      stdoutBytes: 4,
      failure: null,
    });
  });

  it('keeps words as they are, and runs a script for a string', async () => {
    const words = ['a b', '', '$HOME', 'ü"\'\\'];
    expect((await sandbox.exec(['printf', '[%s]', ...words])).stdout).toBe(
      words.map((w) => `[${w}]`).join(''),
    );
    expect((await sandbox.exec('echo $((6 * 7)); pwd', { workdir: '/tmp' })).stdout).toBe('42\n/tmp\n');
  });

  it('passes variables, user and input', async () => {
    const { stdout } = await sandbox.exec('echo $OF $MINE; id -un; cat', {
      env: { MINE: '1' },
      user: 'nobody',
      stdin: 'typed\n',
    });
    expect(stdout).toBe('sandbox 1\nnobody\ntyped\n');
    const bytes = randomBytes(700_000);
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    };
    const echoed = await sandbox.exec(['cat'], { stdin: pieces() });
    expect(echoed.bytes.stdout.equals(bytes)).toBe(true);
  });

  it('tells of a program that is not there, by exec as a result and by spawn as an error', async () => {
    const result = await sandbox.exec(['no-such-program']);
    expect([result.exitCode, result.failure?.code]).toEqual([127, 'EXEC_NOT_FOUND']);
    await expect(sandbox.spawn(['no-such-program'])).rejects.toMatchObject({ code: 'EXEC_NOT_FOUND' });
    await expect(sandbox.exec(['true'], { user: 'nobody-here' })).rejects.toMatchObject({
      code: 'EXEC_USER_UNKNOWN',
      kind: 'notFound',
    });
  });

  it('keeps so much of an output and counts the rest', async () => {
    const result = await sandbox.exec('head -c 3000000 /dev/zero', { maxOutputBytes: 1000 });
    expect(result).toMatchObject({ truncated: true, stdoutBytes: 3_000_000 });
    expect(result.bytes.stdout.byteLength).toBe(1000);
  });

  it('ends a command at its time limit, with what it wrote', async () => {
    const result = await sandbox.exec('echo before; sleep 771', { timeoutMs: 5000 });
    expect(result).toMatchObject({ exitCode: 124, timedOut: true, stdout: 'before\n' });
  });

  it('kills the command of the guest when its signal aborts', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const running = sandbox.exec('echo up; sleep 772', {
      signal: controller.signal,
      onOutput: () => controller.abort(reason),
    });
    await expect(running).rejects.toBe(reason);
    await expect
      .poll(async () => (await sandbox.exec('cat /proc/[0-9]*/cmdline | tr "\\0" " "')).stdout)
      .not.toContain('sleep 772');
  });

  it('gives output as it comes, of both streams, and takes input meanwhile', async () => {
    await using process = await sandbox.spawn('echo ready; read x; echo got $x >&2; exit 3', { stdin: true });
    const seen: Array<[OutputEvent['stream'], string]> = [];
    for await (const { stream, text } of process) {
      seen.push([stream, text]);
      if (text === 'ready\n') await process.write('input\n');
    }
    expect(seen).toEqual([
      ['stdout', 'ready\n'],
      ['stderr', 'got input\n'],
    ]);
    expect(await process.wait()).toMatchObject({ exitCode: 3, signal: null });
  });

  it('holds a command back whose output nobody reads', async () => {
    await using process = await sandbox.spawn(['head', '-c', '50000000', '/dev/zero']);
    let totalBytes = 0;
    for await (const { bytes } of process) {
      totalBytes += bytes.byteLength;
      if (totalBytes > 2_000_000) break;
    }
    // All that can be under way is what the buffers between here and the guest hold.
    const { stdout } = await sandbox.exec(['cat', `/proc/${process.pid}/io`]);
    const writtenBytes = Number(/^wchar: (\d+)$/m.exec(stdout)?.[1]);
    expect(writtenBytes).toBeGreaterThan(1_000_000);
    expect(writtenBytes).toBeLessThan(20_000_000);
    for await (const { bytes } of process) totalBytes += bytes.byteLength;
    expect(totalBytes).toBe(50_000_000);
  });

  it('sends signals', async () => {
    await using process = await sandbox.spawn('trap "exit 9" TERM; echo up; while :; do sleep 0.1; done');
    for await (const { text } of process) if (text === 'up\n') process.kill();
    expect((await process.wait()).exitCode).toBe(9);
  });

  it('leaves a detached command and takes it up again', async () => {
    const first = await sandbox.spawn('echo one; read x; echo two $x', { detached: true, stdin: true });
    for await (const { text } of first) {
      expect(text).toBe('one\n');
      break;
    }
    first.detach();
    await expect
      .poll(async () => (await sandbox.commands()).find((c) => c.execId === first.execId)?.attached)
      .toBe(false);
    const second = await sandbox.attach(first.execId, { stdin: true });
    await second.write('more\n');
    let text = '';
    for await (const event of second) text += event.text;
    expect(text).toBe('one\ntwo more\n');
    expect((await second.wait()).exitCode).toBe(0);
  });

  it('publishes ports', async () => {
    const [port] = await sandbox.ports.list();
    expect(port).toMatchObject({ address: '127.0.0.1', guestPort: 8080 });
    expect(await sandbox.ports.url(8080)).toBe(`http://127.0.0.1:${port?.hostPort}`);
    await expect(sandbox.ports.url(9)).rejects.toMatchObject({
      code: 'PORT_NOT_PUBLISHED',
      details: { guestPort: 9, published: [8080] },
    });
  });

  it('pauses, resumes, measures, renames and shows the console', async () => {
    await sandbox.pause();
    expect(sandbox.info.state).toBe('paused');
    await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'SANDBOX_NOT_RUNNING' });
    await sandbox.resume();
    expect((await sandbox.stats()).guest?.memoryTotalBytes).toBeGreaterThan(100_000_000);
    await sandbox.update({ name: `sdk-${mode}`, labels: { test: null, kept: 'yes' } });
    expect([sandbox.name, sandbox.info.labels]).toEqual([`sdk-${mode}`, { kept: 'yes' }]);
    expect((await sandbox.logs({ maxBytes: 100 })).bytes.byteLength).toBeLessThanOrEqual(100);
  });

  it('finds it again, by handles that do not own it', async () => {
    {
      await using again = await hearth.sandboxes.get(sandbox.id.slice(0, 8));
      expect(again.id).toBe(sandbox.id);
    }
    expect((await hearth.sandboxes.list()).map(({ id }) => id)).toContain(sandbox.id);
    await expect(hearth.sandboxes.get('no-such-sandbox')).rejects.toMatchObject({
      code: 'SANDBOX_NOT_FOUND',
    });
  });

  it('removes what was created when its scope ends', async () => {
    let id = '';
    {
      await using short = await hearth.sandboxes.create({ image: 'debian:12', start: false });
      id = short.id;
      expect(short.info.state).toBe('created');
      await expect(short.exec(['true'])).rejects.toMatchObject({ code: 'SANDBOX_NOT_RUNNING' });
    }
    await expect(hearth.sandboxes.get(id)).rejects.toMatchObject({ code: 'SANDBOX_NOT_FOUND' });
  });

  it('leaves nothing of a sandbox whose creation was aborted', async () => {
    const before = (await hearth.sandboxes.list()).length;
    const controller = new AbortController();
    const creating = hearth.sandboxes.create({
      image: 'debian:12',
      signal: controller.signal,
      onProgress: ({ phase }) => {
        if (phase === 'boot' || phase === 'resume') controller.abort(new Error('no more'));
      },
    });
    await expect(creating).rejects.toThrow('no more');
    await expect.poll(async () => (await hearth.sandboxes.list()).length).toBe(before);
  });

  it('refuses what it does not understand, before anything is done', async () => {
    await expect(sandbox.exec([])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(hearth.sandboxes.create({ image: 'debian:12', cpus: 0 })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      details: { issues: [{ field: 'cpus' }] },
    });
  });

  it('runs a command in a VM of its own', async () => {
    const pieces: string[] = [];
    const result = await hearth.run({
      image: 'debian:12',
      command: 'cat; echo err >&2; exit 4',
      stdin: 'in',
      onOutput: ({ stream, text }) => void pieces.push(`${stream}:${text}`),
    });
    expect(result).toMatchObject({ exitCode: 4, stdout: 'in', stderr: 'err\n', environment: 'debian:12' });
    expect(pieces.sort()).toEqual(['stderr:err\n', 'stdout:in']);
  });

  it('knows the environments', async () => {
    const listed: EnvironmentSummary[] = await hearth.environments.list();
    expect(listed.find(({ name }) => name === 'debian:12')).toMatchObject({
      state: 'installed',
      isDefault: true,
    });
    expect(await hearth.environments.inspect('debian:12')).toMatchObject({ installed: true, problems: [] });
    const pulled: string[] = [];
    const environment = await hearth.environments.pull('debian:12', {
      offline: true,
      onProgress: ({ phase }) => pulled.push(phase),
    });
    expect(environment).toMatchObject({ name: 'debian:12', origin: 'catalog' });
    expect(pulled.at(-1)).toBe('ready');
    await expect(hearth.environments.inspect('debain:12')).rejects.toMatchObject({
      code: 'ENVIRONMENT_NOT_FOUND',
    });
    expect(await hearth.environments.prune({ dryRun: true })).toMatchObject({ dryRun: true });
    const gone = AbortSignal.abort(new Error('not now'));
    await expect(hearth.environments.verify(undefined, { signal: gone })).rejects.toThrow('not now');
  });
});
