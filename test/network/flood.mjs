/**
 * A hostile guest and its accomplice on the network, in a process of their own.
 *
 * Prints the accomplice's port; reads the proxy's port as the first line of standard input, then floods
 * it until standard input ends.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const CONNECTIONS = 400;

const accomplice = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', () => {
    if (socket.bytesRead < 4096) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
});
accomplice.listen(0, '127.0.0.1');
await once(accomplice, 'listening');
process.stdout.write(`${accomplice.address().port}\n`);
const [line] = await once(process.stdin, 'data');
const port = Number(String(line));
const authority = `a.test:${accomplice.address().port}`;

const payloads = [
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\n`,
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(500),
  `POST http://${authority}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`,
  'POST http://refused.test/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
  `CONNECT ${authority} HTTP/1.1\r\nHost: a\r\n\r\n`,
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(60_000)}`,
  '\0'.repeat(4096),
];
const filler = Buffer.from(`2000\r\n${'x'.repeat(0x2000)}\r\n`.repeat(8));
let count = 0;

function attack() {
  const payload = payloads[count++ % payloads.length];
  const socket = connect(port, '127.0.0.1');
  const more = () => {
    while (!socket.destroyed && socket.write(filler));
  };
  socket.on('error', () => {});
  socket.on('drain', more);
  socket.on('close', () => setTimeout(attack, 5));
  socket.resume();
  socket.write(payload);
  more();
  setTimeout(() => socket.destroy(), 500 + (count % 7) * 100);
}

for (let index = 0; index < CONNECTIONS; index += 1) attack();
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
