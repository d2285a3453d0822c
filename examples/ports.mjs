// A server in the guest, reached from this machine.
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'hearth';

const SERVER =
  'use IO::Socket::INET; $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8080, Listen => 5); ' +
  'while ($c = $s->accept) { sysread $c, $r, 4096; print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhello from the guest\\n"; close $c }';

const sandbox = await Sandbox.create({ image: 'debian:12', memoryMib: 256, ports: ['8080'] });
try {
  await sandbox.spawn(['perl', '-e', SERVER], { detached: true });
  const url = await sandbox.ports.url(8080);
  for (;;) {
    const answer = await fetch(url).then(
      (response) => response.text(),
      () => undefined,
    );
    if (answer !== undefined) {
      console.log(answer.trim());
      break;
    }
    await sleep(100);
  }
} finally {
  await sandbox.remove();
}
