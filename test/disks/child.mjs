// A process of its own for the tests that kill it. Arguments: the compiled src/disks, settings as JSON,
// and a call as JSON: [method, ...arguments].
import { pathToFileURL } from 'node:url';

const [modulePath, settings, call] = process.argv.slice(2);
const { RootfsRegistry } = await import(pathToFileURL(modulePath).href);
const registry = new RootfsRegistry({ ...JSON.parse(settings), onWarning: () => undefined });
const [method, ...args] = JSON.parse(call);
process.stdout.write('ready\n');
process.stdout.write(`${JSON.stringify(await registry[method](...args))}\n`);
