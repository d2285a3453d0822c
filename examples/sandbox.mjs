// A sandbox that stays for a while: files in, a command whose output comes while it runs, files out.
import { Sandbox } from 'hearth';

const sandbox = await Sandbox.create({ image: 'debian:12', memoryMib: 256 });
try {
  await sandbox.files.write('/work/count.sh', 'for i in 1 2 3; do echo "line $i"; done | tee result\n', {
    parents: true,
  });
  const process = await sandbox.spawn(['sh', 'count.sh'], { workdir: '/work' });
  for await (const { stream, text } of process) console.log(`${stream}: ${text.trim()}`);
  const { exitCode } = await process.wait();

  const result = await sandbox.files.readText('/work/result');
  console.log(`exit code ${exitCode}, ${result.trim().split('\n').length} lines in the result`);
} finally {
  await sandbox.remove();
}
