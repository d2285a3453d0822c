/** Files, snapshots, forks and workspaces of the SDK: one suite for both ways to use it. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Hearth, type HearthMode, type Sandbox } from '../../src/index.js';
import { hearth as cli, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const MODES: readonly HearthMode[] = ['daemon', 'in-process'];
const PATCH = '--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n';

describe.each(MODES)('the SDK, %s,', (mode) => {
  let daemon: RunningDaemon | undefined;
  let hearth: Hearth;
  let sandbox: Sandbox;
  let host: string;

  beforeAll(async () => {
    host = await mkdtemp(join(tmpdir(), 'hearth-sdk-'));
    await mkdir(join(host, 'seed'));
    await writeFile(join(host, 'seed/a.txt'), 'one\n');
    await cli(['serve', '--stop']);
    if (mode === 'daemon') daemon = await serve(SHARED_HOME);
    hearth = await Hearth.open({ mode, home: SHARED_HOME });
    sandbox = await hearth.sandboxes.create({
      image: 'debian:12',
      memoryMib: 256,
      workspace: { seedPath: join(host, 'seed') },
    });
  });
  afterAll(async () => {
    await sandbox?.remove();
    await hearth?.close();
    await daemon?.[Symbol.asyncDispose]();
    await rm(host, { recursive: true });
  });

  it('writes and reads files, whole and in parts', async () => {
    const { files } = sandbox;
    expect(await files.write('/data/note', 'hällo\n', { parents: true, mode: 0o600 })).toMatchObject({
      kind: 'file',
      mode: 0o600,
      sizeBytes: 7,
    });
    expect(await files.readText('/data/note')).toBe('hällo\n');
    expect((await files.read('/data/note', { offsetBytes: 3, lengthBytes: 3 })).toString()).toBe('llo');
    expect(await files.stat('/data/note')).toMatchObject({ sizeBytes: 7, uid: 0 });
    await files.mkdir('/data/sub');
    await files.rename('/data/note', '/data/sub/renamed');
    const { entries, truncated } = await files.list('/data', { recursive: true });
    expect(truncated).toBe(false);
    expect(entries.map(({ path, kind }) => [path, kind])).toEqual([
      ['sub', 'directory'],
      ['sub/renamed', 'file'],
    ]);
    await files.remove('/data', { recursive: true });
    await expect(files.stat('/data')).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
  });

  it('streams a file both ways, byte for byte, and holds the sender back', async () => {
    const bytes = randomBytes(3_000_000);
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    };
    await sandbox.files.write('/big', pieces());
    const received: Buffer[] = [];
    for await (const piece of await sandbox.files.readStream('/big')) received.push(piece as Buffer);
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
    await expect(sandbox.files.read('/big', { maxBytes: 2_999_999 })).rejects.toMatchObject({
      code: 'CONTENT_TOO_LARGE',
      details: { path: '/big', maxBytes: 2_999_999 },
    });
    // Of a file that would fill this machine's memory only so much comes as somebody reads.
    await sandbox.exec('truncate -s 500G /huge');
    const huge = await sandbox.files.readStream('/huge');
    for await (const piece of huge) {
      expect((piece as Buffer).byteLength).toBeGreaterThan(0);
      break;
    }
    expect(huge.destroyed).toBe(true);
    expect((await sandbox.exec('echo well')).stdout).toBe('well\n');
    // The tests that read the whole disk would read it, too.
    await sandbox.files.remove('/huge');
  });

  it('gives up an upload that is aborted, and leaves the old file', async () => {
    await sandbox.files.write('/kept', 'old');
    const controller = new AbortController();
    const reason = new Error('enough');
    const endless = async function* () {
      for (let sent = 0; ; sent += 1) {
        if (sent === 20) controller.abort(reason);
        yield Buffer.alloc(10_000);
      }
    };
    const writing = sandbox.files.write('/kept', endless(), { signal: controller.signal });
    await expect(writing).rejects.toBe(reason);
    expect(await sandbox.files.readText('/kept')).toBe('old');
  });

  it('copies trees in and out', async () => {
    await mkdir(join(host, 'tree/deep'), { recursive: true });
    await writeFile(join(host, 'tree/deep/file'), 'deep');
    expect((await sandbox.files.upload(join(host, 'tree'), '/copied')).contentBytes).toBe(4);
    expect(await sandbox.files.readText('/copied/deep/file')).toBe('deep');
    await sandbox.files.download('/copied', join(host, 'back'));
    expect(await readFile(join(host, 'back/deep/file'), 'utf8')).toBe('deep');
    await sandbox.files.mkdir('/unpacked');
    expect(await sandbox.files.writeTar('/unpacked', await sandbox.files.readTar('/copied'))).toBe(3);
    expect(await sandbox.files.readText('/unpacked/copied/deep/file')).toBe('deep');
  });

  it('tells what has changed on the disk, and reads it there', async () => {
    await sandbox.files.write('/srv/made', 'made\n', { parents: true });
    const { changes } = await sandbox.disk.diff({ hashes: true });
    expect(changes.find(({ path }) => path === '/srv/made')).toMatchObject({
      change: 'added',
      now: { kind: 'file', sizeBytes: 5, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(await text(await sandbox.disk.readPatch())).toContain('+++ b/srv/made\n@@ -0,0 +1 @@\n+made\n');
    expect(await text(await sandbox.disk.read('/srv/made'))).toBe('made\n');
    const { entries } = await sandbox.disk.list('/srv');
    expect(entries.map(({ path }) => path)).toEqual(['made']);
    for (const archive of [await sandbox.disk.readTar({ path: '/srv' }), await sandbox.disk.readLayer()]) {
      expect((await buffer(archive)).includes('srv/made')).toBe(true);
    }
    await expect(sandbox.disk.read('/srv/nothing')).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(sandbox.disk.diff({ signal: controller.signal })).rejects.toThrow('enough');
  });

  it('changes the workspace, shows the change, and undoes it', async () => {
    const { workspace } = sandbox;
    expect(await workspace.applyPatch(PATCH, { check: true })).toMatchObject({ applied: false });
    expect(await workspace.applyPatch(PATCH)).toEqual({
      files: [{ path: 'a.txt', change: 'modified' }],
      applied: true,
    });
    await expect(workspace.applyPatch(PATCH)).rejects.toMatchObject({ code: 'PATCH_CONFLICT' });
    await workspace.push(join(host, 'tree'));
    const { patch, files } = await workspace.diff();
    expect(patch).toContain('-one\n+two\n');
    expect(files.map(({ path, change }) => [path, change])).toEqual([
      ['a.txt', 'modified'],
      ['deep/file', 'added'],
    ]);
    expect(await workspace.reset()).toMatchObject({ entryCount: 1 });
    expect((await workspace.diff()).files).toEqual([]);
  });

  it('saves a moment, forks from it, and goes back to it', async () => {
    await sandbox.exec('echo first > /state');
    expect(await sandbox.snapshots.create('first')).toMatchObject({ name: 'first', kind: 'vm' });
    await expect(sandbox.snapshots.create('first')).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
    await sandbox.exec('echo second > /state');
    const copy = await sandbox.fork({ snapshot: 'first' });
    try {
      expect(copy.id).not.toBe(sandbox.id);
      expect(copy.info.state).toBe('running');
      expect(await copy.files.readText('/state')).toBe('first\n');
      await copy.files.write('/state', 'copy\n');
    } finally {
      await copy[Symbol.asyncDispose]();
    }
    await expect(hearth.sandboxes.get(copy.id)).rejects.toMatchObject({ code: 'SANDBOX_NOT_FOUND' });
    expect(await sandbox.files.readText('/state')).toBe('second\n');
    await sandbox.restore('first');
    expect(sandbox.info.state).toBe('running');
    expect(await sandbox.files.readText('/state')).toBe('first\n');
    expect((await hearth.sandboxes.snapshots()).map(({ sandboxId }) => sandboxId)).toContain(sandbox.id);
    expect((await sandbox.snapshots.list()).map(({ name }) => name)).toEqual(['first']);
    await sandbox.snapshots.remove('first');
    await expect(sandbox.restore('first')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  it('keeps services, tells when they are ready and what they wrote', async () => {
    const { services } = sandbox;
    const script = 'echo up; touch /run/ready; while :; do sleep 0.2; done';
    const started = await services.start('web', script, { ready: { kind: 'file', path: '/run/ready' } });
    expect(started).toMatchObject({ name: 'web', state: 'running', readyAt: expect.any(String) });
    await expect(services.start('web', 'true')).rejects.toMatchObject({ code: 'SERVICE_EXISTS' });
    expect((await services.list()).map(({ name }) => name)).toEqual(['web']);
    expect(await services.status('web')).toMatchObject({ state: 'running', execId: started.execId });
    expect(await services.logs('web')).toMatchObject({ stdout: 'up\n', stderr: '', lostBytes: 0 });
    expect(await services.stop('web')).toMatchObject({ state: 'stopped' });
    await expect(services.status('none')).rejects.toMatchObject({ code: 'SERVICE_NOT_FOUND' });
  });

  it('keeps shells open between calls, with their directory and variables', async () => {
    const shell = await sandbox.shells.open({ argv: ['sh'] });
    await shell.write('cd /usr; WHERE=here; echo begun $WHERE');
    const read = async () => (await sandbox.shells.get(shell.number).read()).output;
    await expect.poll(read).toContain('begun here');
    await shell.write('echo $WHERE:$(pwd)');
    await expect.poll(read).toContain('here:/usr');
    expect((await sandbox.shells.list()).map(({ shell: number }) => number)).toEqual([shell.number]);
    await shell.close();
    expect((await sandbox.shells.list()).filter(({ running }) => running)).toEqual([]);
  });

  it('has its first disk after a reset, and a journal of what it connected to', async () => {
    await sandbox.reset();
    expect(sandbox.info.state).toBe('running');
    await expect(sandbox.files.stat('/state')).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
    expect(await sandbox.files.readText('/workspace/a.txt')).toBe('one\n');
    expect(await sandbox.egress()).toMatchObject({ events: [], cursor: expect.any(String) });
  });
});
