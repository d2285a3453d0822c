// A project in a sandbox: seed it, let something change it, take the change home as a patch.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from 'hearth';

const project = await mkdtemp(join(tmpdir(), 'project-'));
await writeFile(join(project, 'greeting.txt'), 'hello\n');
const sandbox = await Sandbox.create({
  image: 'debian:12',
  memoryMib: 256,
  workspace: { seedPath: project },
});
try {
  // Commands start in /workspace.
  await sandbox.exec('sed -i s/hello/goodbye/ greeting.txt');
  const { patch, files } = await sandbox.workspace.diff();
  console.log(files.map(({ change, path }) => `${change} ${path}`).join('\n'));
  console.log(patch);

  await sandbox.workspace.reset();
  console.log(`after the reset: ${(await sandbox.exec('cat greeting.txt')).stdout.trim()}`);
} finally {
  await sandbox.remove();
  await rm(project, { recursive: true });
}
