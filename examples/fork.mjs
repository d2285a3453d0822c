// Prepare once, try twice: copies of a running sandbox, and the way back.
import { Sandbox } from 'hearth';

const base = await Sandbox.create({ image: 'debian:12', memoryMib: 256 });
try {
  await base.exec('mkdir /app; echo prepared > /app/state');
  await base.snapshots.create('prepared');

  const copies = await base.forkMany(2);
  await Promise.all(
    copies.map(async (copy, index) => {
      await copy.exec(`echo "attempt ${index + 1}" >> /app/state`);
    }),
  );
  for (const copy of copies) {
    console.log((await copy.files.readText('/app/state')).trim().replace('\n', ', '));
    await copy.remove();
  }

  await base.exec('rm -r /app');
  await base.restore('prepared');
  console.log(`after the restore: ${(await base.files.readText('/app/state')).trim()}`);
} finally {
  await base.remove();
}
