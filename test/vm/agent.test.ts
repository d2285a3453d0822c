import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentVm, bootAgentVm, execute } from '../support/agent.js';

describe('the agent as PID 1', () => {
  let guest: AgentVm;
  beforeAll(async () => {
    const t0 = performance.now();
    guest = await bootAgentVm();
    console.log('boot', performance.now() - t0, guest.client.info);
  });
  afterAll(() => guest?.close());

  it('runs a command', async () => {
    console.log(await guest.vm.consoleTail(4096));
    console.log(await execute(guest.client, { argv: ['sh', '-c', 'true'] }));
    for (let k = 0; k < 3; k++) {
    const t0 = performance.now();
    let inner = 0;
    for (let i = 0; i < 20; i++) inner += (await execute(guest.client, { argv: ['true'] })).exit.runtimeUs / 1000;
    console.log('exec', (performance.now() - t0) / 20, 'guest', inner / 20);
    }
    for (let i = 0; i < 5; i++) console.log('ping', await guest.client.ping());
    console.log(await guest.client.stats());
    const t1 = performance.now();
    const y = await execute(guest.client, { argv: ['head', '-c', '20000000', '/dev/zero'] });
    console.log('20 MB', performance.now() - t1, y.stdout.length, y.exit);
    const t2 = performance.now();
    await guest.client.shutdown();
    console.log('shutdown', performance.now() - t2, await guest.vm.exited, performance.now() - t2);
  });
});
