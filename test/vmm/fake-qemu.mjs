// Behaves as QEMU does towards its driver, or misbehaves. Arguments: the behaviour, then QEMU's own.
// Descriptors: 3 control, 4 agent, 5 console.
import { Socket } from 'node:net';

const behaviour = process.argv[2];
const control = new Socket({ fd: 3 });
const agent = new Socket({ fd: 4 });
const guestConsole = new Socket({ fd: 5 });
for (const socket of [control, agent, guestConsole]) socket.on('error', () => undefined);

const greet = (major, minor) =>
  control.write(
    `${JSON.stringify({ QMP: { version: { qemu: { major, minor, micro: 0 } }, capabilities: [] } })}\n`,
  );
const die = (message, code = 1) => {
  process.stderr.write(`${message}\n`, () => process.exit(code));
};

function serve({ deaf = false } = {}) {
  let rest = '';
  control.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const { execute, id } = JSON.parse(line);
      if (deaf && execute === 'quit') continue;
      control.write(`${JSON.stringify({ return: {}, id })}\n`);
      if (execute === 'quit') process.exit(0);
    }
  });
  agent.on('data', (chunk) => agent.write(chunk));
}

const behaviours = {
  well: () => {
    greet(7, 2);
    serve();
  },
  silent: () => undefined,
  old: () => {
    greet(6, 2);
    serve();
  },
  garbage: () => control.write('hello\n'),
  endless: () => control.write('x'.repeat(2 * 1024 * 1024)),
  'no-disk': () => die('qemu: could not open disk image: No such file or directory'),
  'no-kvm': () =>
    die('Could not access KVM kernel module: Permission denied\nqemu: failed to initialize kvm'),
  panic: () => {
    greet(7, 2);
    serve();
    // When its agent is spoken to: the start is over then.
    agent.once('data', () => {
      guestConsole.write('[    0.1] Kernel panic - not syncing: \u001b[31mno init\r\n', () =>
        process.exit(0),
      );
    });
  },
  stuck: () => {
    process.on('SIGTERM', () => undefined);
    greet(7, 2);
    serve({ deaf: true });
  },
  // A kernel that starts under KVM and comes to no end.
  hung: () => {
    greet(7, 2);
    serve();
    guestConsole.write('Linux version 6.1.0\n');
  },
  runs: () => {
    guestConsole.write('VFS: Unable to mount root\nKernel panic - not syncing: VFS\n', () => {
      greet(7, 2);
      serve();
    });
  },
};
behaviours[behaviour]();
setInterval(() => undefined, 1000);
