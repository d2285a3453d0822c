// One command in a VM of its own, which is gone afterwards.
import { Hearth } from 'hearth';

const hearth = await Hearth.open();
const { exitCode, stdout, start } = await hearth.run({
  image: 'debian:12',
  command: ['git', '--version'],
});
console.log(`${stdout.trim()} (exit code ${exitCode}, ${start} start)`);
await hearth.close();
