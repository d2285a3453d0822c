/** `debian:12` from real Debian packages, on a machine whose registry cannot be reached. Rows PY-47 and BA-13. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalog } from '../../src/environments/index.js';
import { openBench, recorder } from './support.js';

function readFromImage(rootfsPath: string, path: string): string {
  return execFileSync('debugfs', ['-R', `cat ${path}`, rootfsPath], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString();
}

describe('debian:12', () => {
  it('PY-47 BA-13 is installed on a fresh host without a registry, with git in it', async () => {
    const bench = openBench();
    const store = await bench.open({ catalog: await loadCatalog() });
    const progress = recorder();
    const environment = await store.ensureInstalled('debian:12', { ...progress, source: 'debian-packages' });
    expect(environment).toMatchObject({ name: 'debian:12', source: 'debian-packages' });
    expect(progress.phases()).toEqual(['resolve', 'download', 'convert', 'install', 'ready']);
    expect(readFromImage(environment.rootfsPath, '/etc/debian_version')).toMatch(/^12\./);
    expect(readFromImage(environment.rootfsPath, '/var/lib/dpkg/status')).toContain('Package: git\n');
    expect(readFromImage(environment.rootfsPath, '/etc/hostname')).toBe('');
    expect(readFromImage(environment.rootfsPath, '/etc/resolv.conf')).toBe('');
    execFileSync('e2fsck', ['-fn', environment.rootfsPath], { stdio: 'pipe' });
    expect(readFileSync(environment.initrdPath!).subarray(0, 6).toString()).toBe('070701');
    expect((await store.verify(['debian:12']))[0]).toMatchObject({ ok: true });
    const again = recorder();
    await store.ensureInstalled('debian:12', again);
    expect(again.phases()).toEqual(['ready']);
  });
});
