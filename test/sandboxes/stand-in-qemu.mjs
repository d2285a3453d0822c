#!/usr/bin/env node
// Stands where QEMU and its guest would: serves the sockets that QEMU serves, speaks QMP as QEMU does, and is a
// guest agent that is well behaved until a command's name tells it how not to be. Written from the descriptions of
// both protocols, with nothing of hearth's.
import { createServer } from 'node:net';

if (process.argv.includes('--version')) {
  process.stdout.write('QEMU emulator version 7.2.0\n');
  process.exit(0);
}
const pathOf = (id) => {
  const option = process.argv.find((word) => word.startsWith(`socket,id=${id},`));
  return /path=([^,]+)/.exec(option ?? '')?.[1];
};
const serve = (id, onConnection) =>
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  }).listen(pathOf(id));

serve('console', (socket) => socket.write('Linux version 6.1.0\n'));
serve('control', (socket) => {
  socket.write(
    `${JSON.stringify({ QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 } }, capabilities: [] } })}\n`,
  );
  let rest = '';
  socket.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const { execute, id } = JSON.parse(line);
      const answer = execute === 'query-status' ? { running: true, status: 'running' } : {};
      socket.write(`${JSON.stringify({ return: answer, id })}\n`);
      if (execute === 'quit') socket.end(() => process.exit(0));
    }
  });
});

const MIB = 1024 * 1024;
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const text = (value) => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value), Buffer.of(0)]);
const frame = (stream, type, payload = Buffer.alloc(0)) =>
  Buffer.concat([u32(payload.length), u32(stream), Buffer.of(type), payload]);
const [READY, OK, ERROR, STARTED, EXIT] = [0x02, 0x03, 0x04, 0x21, 0x22];
const [HELLO, EXEC, EXEC_LIST, SHUTDOWN, RESET] = [0x01, 0x20, 0x26, 0x39, 0x06];
const MAGIC = Buffer.from('687274688f0d0a1a', 'hex');

const ready = (nonce) =>
  frame(
    0,
    READY,
    Buffer.concat([
      ...[MAGIC, nonce, u32(1), u32(2), u32(0), u32(1)],
      ...[text('0.1.0'), text('6.1.0'), text('boot'), text('')],
    ]),
  );
const started = (stream) =>
  frame(
    stream,
    STARTED,
    Buffer.concat([Buffer.alloc(7), Buffer.of(1), u32(42), u32(65_536), Buffer.alloc(16)]),
  );
const exit = (stream, exitCode = 0) =>
  frame(stream, EXIT, Buffer.concat([u32(0), u32(exitCode), Buffer.alloc(60)]));
const well = (stream, output) =>
  Buffer.concat([
    started(stream),
    frame(stream, 0x11, Buffer.from(output)),
    ...[frame(stream, 0x11), frame(stream, 0x12), exit(stream)],
  ]);

/** Writes without end and without asking, until the other side has had enough. */
function flood(socket, piece) {
  let left = 1024 * MIB;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left -= piece.length;
      if (!socket.write(piece)) return socket.once('drain', more);
    }
  };
  more();
}

let greeting = 'well';
/** By the name of the command. */
const BEHAVIOURS = {
  well: (socket, stream) => socket.write(well(stream, 'well\n')),
  garbage: (socket) => socket.write(Buffer.alloc(256 * 1024, 0xa5)),
  'length-4gib': (socket) => socket.write(Buffer.from('ffffffff0000000111', 'hex')),
  'length-control': (socket, stream) =>
    socket.write(Buffer.concat([u32(MIB + 1), u32(stream), Buffer.of(STARTED)])),
  'length-data': (socket, stream) =>
    socket.write(Buffer.concat([started(stream), u32(65_537), u32(stream), Buffer.of(0x11)])),
  'foreign-stream': (socket, stream) => socket.write(frame(stream + 1000, 0x11, Buffer.from('not yours'))),
  'guest-stream': (socket) => socket.write(frame(0x80000001, 0x54, Buffer.concat([u32(1), text('x')]))),
  'answer-twice': (socket, stream) =>
    socket.write(Buffer.concat([started(stream), exit(stream), exit(stream)])),
  'never-asked': (socket) => socket.write(frame(0, READY, Buffer.alloc(4))),
  'exit-999': (socket, stream) => socket.write(Buffer.concat([started(stream), exit(stream, 999)])),
  'flood-data': (socket, stream) => {
    socket.write(started(stream));
    flood(socket, frame(stream, 0x11, Buffer.alloc(65_536, 0x79)));
  },
  'flood-ends': (socket, stream) => {
    socket.write(started(stream));
    flood(socket, Buffer.concat(Array.from({ length: 1000 }, () => frame(stream, 0x12))));
  },
  'flood-windows': (socket, stream) => {
    socket.write(started(stream));
    flood(
      socket,
      Buffer.concat(
        Array.from({ length: 1000 }, () => frame(stream, 0x05, Buffer.concat([Buffer.of(0), u32(MIB)]))),
      ),
    );
  },
  'hang-up': (socket) => socket.destroy(),
  silent: () => undefined,
  drip: (socket, stream) => {
    const bytes = frame(stream, STARTED, Buffer.alloc(MIB));
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer);
      else socket.write(bytes.subarray(at, ++at));
    }, 200);
  },
  /** Well, and at the next greeting not. */
  'later-noise': (socket, stream) => {
    greeting = 'noise';
    socket.write(well(stream, 'later\n'));
    socket.end();
  },
  'later-other': (socket, stream) => {
    greeting = 'other generation';
    socket.write(well(stream, 'later\n'));
    socket.end();
  },
};

function greet(socket, nonce) {
  const how = greeting;
  greeting = 'well';
  if (how === 'well') return socket.write(ready(nonce));
  if (how === 'noise') return flood(socket, Buffer.alloc(MIB, 0x20));
  const answer = ready(nonce);
  answer.writeUInt32BE(99, 9 + 8 + 16);
  socket.write(answer);
}

serve('agent', (socket) => {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUInt32BE(0)) {
      const size = rest.readUInt32BE(0);
      const [stream, type] = [rest.readUInt32BE(4), rest.readUInt8(8)];
      const payload = rest.subarray(9, 9 + size);
      rest = rest.subarray(9 + size);
      if (type === HELLO) greet(socket, payload.subarray(12, 28));
      else if (type === EXEC) {
        const name = Object.keys(BEHAVIOURS).find((word) => payload.includes(`behave:${word}\0`));
        if (name === undefined)
          socket.write(frame(stream, ERROR, Buffer.concat([text('EXEC_NOT_FOUND'), u32(2), text('no')])));
        else BEHAVIOURS[name](socket, stream);
      } else if (type === EXEC_LIST) socket.write(frame(stream, OK, u32(0)));
      else if (type === SHUTDOWN) socket.write(frame(stream, OK), () => process.exit(0));
      else if (type === RESET) socket.write(frame(stream, 0x07));
      else if (type >= 0x30 && type < 0x40) socket.write(frame(stream, OK));
    }
  });
});
