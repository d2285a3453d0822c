// Starts a VM in a process of its own, for the test that kills it. Argument: the specification as JSON.
import { createQemuDriver } from '../../dist/vmm/index.js';

const vm = await createQemuDriver().start(JSON.parse(process.argv[2]));
process.stdout.write(`${vm.pid}\n`);
vm.channel.resume();
setInterval(() => undefined, 1000);
