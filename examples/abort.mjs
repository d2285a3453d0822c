// A command that is given up: the signal kills it in the guest, and nothing of it goes on.
import { Sandbox } from 'hearth';

const sandbox = await Sandbox.create({ image: 'debian:12', memoryMib: 256 });
try {
  const controller = new AbortController();
  const running = sandbox.exec('echo working; sleep 3600', {
    signal: controller.signal,
    onOutput: () => controller.abort(new Error('that is enough')),
  });
  await running.catch((error) => console.log(`ended: ${error.message}`));

  // A time limit is a result, not an error.
  const { exitCode, timedOut } = await sandbox.exec('sleep 3600', { timeoutMs: 1000 });
  console.log(`exit code ${exitCode}, timed out: ${timedOut}`);
} finally {
  await sandbox.remove();
}
