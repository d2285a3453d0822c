/**
 * A hostile guest in a process of its own: floods a proxy until its standard input ends.
 *
 * usage: node flood.mjs PROXY_PORT AUTHORITY
 */
import { connect } from 'node:net';

const [port, authority] = process.argv.slice(2);
const CONNECTIONS = 400;
const payloads = [
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\n`,
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(500),
  `POST http://${authority}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`,
  `CONNECT ${authority} HTTP/1.1\r\nHost: a\r\n\r\n`,
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(60_000)}`,
  '\0'.repeat(4096),
];
const filler = Buffer.from(`2000\r\n${'x'.repeat(0x2000)}\r\n`.repeat(8));
let count = 0;

function attack() {
  const payload = payloads[count++ % payloads.length];
  const socket = connect(Number(port), '127.0.0.1');
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
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
