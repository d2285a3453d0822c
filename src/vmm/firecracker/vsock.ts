/**
 * A connection from the host to a vsock port of the guest, through Firecracker's socket.
 *
 * Source: Firecracker 1.17, docs/vsock.md, "Host-Initiated Connections": we say `CONNECT <port>\n`, Firecracker
 * says `OK <host port>\n` when something in the guest listens there and closes the connection when nothing does.
 */
import { createConnection, type Socket } from 'node:net';

/** `OK `, ten digits, line feed, and some more. */
const MAX_ANSWER_BYTES = 32;
const ANSWER = /^OK [0-9]{1,10}\n$/;
const LINE_FEED = 0x0a;

/**
 * @returns The connected stream, or undefined when nobody listens there yet: no socket, refused, closed, or an
 *   answer that is not Firecracker's.
 * @param signal Gives up, as if nobody listened.
 */
export async function connectVsock(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket | undefined> {
  const socket = createConnection({ path: address });
  const connected = await new Promise<boolean>((resolve) => {
    let answer = Buffer.alloc(0);
    const onReadable = (): void => {
      // Byte by byte up to the line feed: what follows is the guest's and stays in the stream.
      for (let byte = read(socket); byte !== undefined; byte = read(socket)) {
        answer = Buffer.concat([answer, byte]);
        const whole = byte[0] === LINE_FEED;
        if (!whole && answer.byteLength < MAX_ANSWER_BYTES) continue;
        finish(whole && ANSWER.test(answer.toString('latin1')));
        return;
      }
    };
    const fail = (): void => finish(false);
    const finish = (result: boolean): void => {
      socket.off('readable', onReadable);
      for (const event of ['end', 'close']) socket.off(event, fail);
      signal.removeEventListener('abort', fail);
      resolve(result);
    };
    // ENOENT and ECONNREFUSED before, ECONNRESET after: `close` follows.
    socket.on('error', () => socket.destroy());
    socket.on('readable', onReadable);
    socket.once('end', fail);
    socket.once('close', fail);
    signal.addEventListener('abort', fail, { once: true });
    if (signal.aborted) fail();
    socket.write(`CONNECT ${port}\n`);
  });
  if (connected) return socket;
  socket.destroy();
  return undefined;
}

function read(socket: Socket): Buffer | undefined {
  const byte: unknown = socket.read(1);
  return Buffer.isBuffer(byte) ? byte : undefined;
}
