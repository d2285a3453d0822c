/** What the documents show is run as it stands: examples/, and the commands of docs/http-api.md. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI, cliEnvironment, hearth, REPOSITORY, SHARED_HOME } from '../support/cli.js';

const run = promisify(execFile);

afterAll(async () => {
  await hearth(['serve', '--stop']);
});

describe('examples/', () => {
  const expected: Readonly<Record<string, RegExp>> = {
    'run.mjs': /^git version 2\.\S+ \(exit code 0, (?:warm|cold) start\)\n$/,
    'sandbox.mjs': /^stdout: line 1\n(?:(?:stdout: )?line [23]\n)+exit code 0, 3 lines in the result\n$/,
    'abort.mjs': /^ended: that is enough\nexit code 124, timed out: true\n$/,
    'fork.mjs': /^prepared, attempt 1\nprepared, attempt 2\nafter the restore: prepared\n$/,
    'workspace.mjs':
      /^modified greeting\.txt\ndiff --git [\s\S]*-hello\n\+goodbye\n[\s\S]*after the reset: hello\n$/,
    'ports.mjs': /^hello from the guest\n$/,
  };

  it('are all here', async () => {
    expect(Object.keys(expected).sort()).toEqual((await readdir(`${REPOSITORY}examples`)).sort());
  });

  it.each(Object.entries(expected))('%s does what it says', async (name, output) => {
    const before = (await hearth(['ps', '--all', '--quiet'])).stdout.toString();
    const { stdout, stderr } = await run(process.execPath, [join(REPOSITORY, 'examples', name)], {
      env: cliEnvironment(),
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(output);
    expect((await hearth(['ps', '--all', '--quiet'])).stdout.toString()).toBe(before);
  });
});

describe('docs/http-api.md', () => {
  let bench: string;
  beforeAll(async () => {
    bench = await mkdtemp(join(tmpdir(), 'hearth-curl-'));
    await symlink(join(SHARED_HOME, 'run'), join(bench, 'hearth'));
    await mkdir(join(bench, 'bin'));
    const curl = (await run('sh', ['-c', 'command -v curl'])).stdout.trim();
    // The programs of the document: ours, and a curl that says so when it is refused.
    const programs = {
      hearth: `exec '${process.execPath}' '${CLI}' "$@"`,
      curl: `exec ${curl} --silent --show-error --fail-with-body "$@"`,
    };
    for (const [name, line] of Object.entries(programs)) {
      await writeFile(join(bench, 'bin', name), `#!/bin/sh\n${line}\n`);
      await chmod(join(bench, 'bin', name), 0o755);
    }
  });
  afterAll(async () => {
    await hearth(['rm', '--force', 'api']);
    await rm(bench, { recursive: true });
  });

  it('has commands that work as they stand, from the first to the last', async () => {
    await hearth(['rm', '--force', 'api']);
    const text = await readFile(`${REPOSITORY}docs/http-api.md`, 'utf8');
    const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
    // Only the daemon on TCP has an example of its own, in test/daemon/http.test.ts.
    const script = blocks.filter((block) => !block.includes('hearth serve --listen')).join('\n');
    const { stdout } = await run('sh', ['-eu', '-c', `exec 2>&1\n${script}`], {
      env: {
        ...cliEnvironment({ env: { XDG_RUNTIME_DIR: bench } }),
        PATH: `${bench}/bin:${process.env.PATH}`,
      },
    });
    const answers = stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    expect(answers.map((answer) => Object.keys(answer))).toEqual(answers.map(() => ['result']));
    expect(answers[0].result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^git version/) });
    expect(answers.map(({ result }) => result)).toContainEqual(
      expect.objectContaining({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' }),
    );
    expect(stdout).toMatch(/^event: stdout\ndata: \{"text":"1\\n"\}/m);
    expect(stdout).toContain('\nevent: result\ndata: ');
    expect(stdout).toContain('\nfrom curl\n');
    expect(stdout).toMatch(/^work\/note$/m);
    expect(blocks).toHaveLength(6);
  });
});
