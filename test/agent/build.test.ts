/** The agent's build and the C side's own unit tests. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_PATH, buildAgents } from '../support/agent.js';
import { REPOSITORY } from '../support/cli.js';

const run = promisify(execFile);
const SOURCES = `${REPOSITORY}guest/agent`;
const PT_INTERP = 3;

/** Types of the program headers of a 64-bit ELF file. */
function segmentTypes(elf: Buffer): number[] {
  const offset = Number(elf.readBigUInt64LE(32));
  const [size, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)];
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(offset + index * size));
}

describe('the guest agent', () => {
  let directory: string;
  beforeAll(async () => {
    await buildAgents();
    directory = await mkdtemp(join(tmpdir(), 'hearth-agent-build-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('is one static file of less than 1 MiB', async () => {
    const elf = await readFile(AGENT_PATH);
    expect(elf.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    expect(segmentTypes(elf)).not.toContain(PT_INTERP);
    expect(elf.byteLength).toBeLessThan(1024 * 1024);
  });

  it('has the same bytes when it is built somewhere else', async () => {
    const copy = join(directory, 'elsewhere/guest/agent');
    await cp(SOURCES, copy, { recursive: true });
    await run('make', ['-C', copy]);
    const built = await readFile(join(directory, 'elsewhere/build/agent/hearth-agent'));
    expect(built.equals(await readFile(AGENT_PATH))).toBe(true);
  });

  it('can be built with gcc alone', async () => {
    await run('make', ['-C', SOURCES, 'CC_STATIC=gcc', `out=${directory}/gcc`]);
    const elf = await readFile(join(directory, 'gcc/hearth-agent'));
    expect(segmentTypes(elf)).not.toContain(PT_INTERP);
  });

  it('reads what its parsers are given, under sanitizers', async () => {
    const { stdout } = await run('make', ['-C', SOURCES, 'check']);
    expect(stdout.match(/^\w+_test: \d+ vectors, 0 failures$/gm)).toHaveLength(3);
  });

  it('says what it is for when it is started by hand', async () => {
    await expect(run(AGENT_PATH)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--serve-fd'),
    });
    await expect(run(AGENT_PATH, ['--serve-fd', '77'])).rejects.toMatchObject({ code: 1 });
  });
});
