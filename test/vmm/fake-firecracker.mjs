// Behaves as Firecracker does towards its driver, and refuses what its API description refuses.
// Arguments: the behaviour, then Firecracker's own. Every accepted request is kept in requests.jsonl.
import { appendFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

/** Bodies by path, after src/firecracker/swagger/firecracker.yaml of Firecracker 1.17. */
const text = (value) => typeof value === 'string' && value !== '';
const flag = (value) => typeof value === 'boolean';
const oneOf =
  (...values) =>
  (value) =>
    values.includes(value);
const integer = (min, max) => (value) => Number.isInteger(value) && value >= min && value <= max;
const object =
  (required, optional = {}) =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.keys(required).every((name) => name in value) &&
    Object.entries(value).every(([name, field]) => ({ ...required, ...optional })[name]?.(field) === true);
const SCHEMAS = {
  'PUT /machine-config': object(
    { vcpu_count: integer(1, 32), mem_size_mib: integer(1, 2 ** 31) },
    { smt: flag, track_dirty_pages: flag, huge_pages: oneOf('None', 'Transparent', '2M') },
  ),
  'PUT /boot-source': object({ kernel_image_path: text }, { initrd_path: text, boot_args: text }),
  'PUT /drives': object(
    { drive_id: text, is_root_device: flag },
    {
      ...{ path_on_host: text, is_read_only: flag, partuuid: text },
      ...{ cache_type: oneOf('Unsafe', 'Writeback'), io_engine: oneOf('Sync', 'Async') },
    },
  ),
  'PUT /vsock': object({ guest_cid: integer(3, 2 ** 32 - 1), uds_path: text }),
  'PUT /entropy': object({}),
  'PUT /actions': object({ action_type: oneOf('FlushMetrics', 'InstanceStart', 'SendCtrlAltDel') }),
  'PATCH /vm': object({ state: oneOf('Paused', 'Resumed') }),
  'PUT /snapshot/create': object(
    { mem_file_path: text, snapshot_path: text },
    { snapshot_type: oneOf('Full', 'Diff') },
  ),
  'PUT /snapshot/load': object(
    { snapshot_path: text },
    {
      resume_vm: flag,
      mem_backend: object({ backend_type: oneOf('File', 'Uffd'), backend_path: text }),
    },
  ),
};
const BEFORE_START = ['/machine-config', '/boot-source', '/drives', '/vsock', '/entropy', '/snapshot/load'];

const behaviour = process.argv[2];
const apiPath = process.argv[process.argv.indexOf('--api-sock') + 1];
let state = 'Not started';
const configured = new Set();

function serveVsock(path) {
  let refusals = behaviour === 'slow-guest' ? 3 : 0;
  createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (chunk) => {
      const port = /^CONNECT (\d+)\n$/.exec(chunk.toString())?.[1];
      if (port !== '1024' || refusals > 0) {
        refusals -= 1;
        socket.destroy();
        return;
      }
      // The guest's first bytes may come in the same packet as the acknowledgement.
      socket.write('OK 1073741824\nhello');
      socket.on('data', (bytes) => socket.write(bytes));
    });
  }).listen(path);
}

function refusal(method, path, body) {
  const kind = path.startsWith('/drives/') ? '/drives' : path;
  const valid = SCHEMAS[`${method} ${kind}`];
  if (valid === undefined) return `Invalid request method and/or path: ${method} ${path}.`;
  if (!valid(body))
    return `An error occurred when deserializing the json body of a request: ${JSON.stringify(body)}`;
  if (kind === '/drives' && path !== `/drives/${body.drive_id}`)
    return 'The id from the path does not match the body';
  if (BEFORE_START.includes(kind) && state !== 'Not started')
    return 'The requested operation is not supported after starting the microVM.';
  if (kind === '/snapshot/load' && configured.size > 0)
    return 'Loading a microVM snapshot not allowed after configuring boot-specific resources.';
  if (kind === '/snapshot/create' && state !== 'Paused') return 'Cannot save a microVM that is not paused.';
  if (body.action_type === 'InstanceStart' && !configured.has('/boot-source'))
    return 'Cannot start microvm without kernel configuration.';
  if (behaviour === 'no-drive' && kind === '/drives')
    return 'Unable to create the virtio block device: No such file or directory';
  return undefined;
}

function apply(path, body) {
  appendFileSync('requests.jsonl', `${JSON.stringify({ path, body })}\n`);
  configured.add(path);
  if (path === '/vm') state = body.state === 'Paused' ? 'Paused' : 'Running';
  if (body.action_type === 'InstanceStart' || path === '/snapshot/load') {
    state = 'Running';
    if (behaviour === 'panic') {
      process.stdout.write('Kernel panic - not syncing: VFS\n', () => process.exit(0));
      return;
    }
    serveVsock('vsock.sock');
  }
}

if (behaviour === 'dies') {
  process.stderr.write('Failed to open /dev/kvm\n', () => process.exit(148));
} else {
  createHttpServer((request, response) => {
    let sent = '';
    request.on('data', (chunk) => {
      sent += chunk;
    });
    request.on('end', () => {
      if (request.method === 'GET' && request.url === '/version') {
        const version = behaviour === 'old' ? '1.7.0' : '1.17.0';
        response.end(JSON.stringify({ firecracker_version: version }));
        return;
      }
      const body = JSON.parse(sent);
      const fault = refusal(request.method, request.url, body);
      if (fault !== undefined) {
        response.writeHead(400).end(JSON.stringify({ fault_message: fault }));
        return;
      }
      apply(request.url, body);
      response.writeHead(204).end();
    });
  }).listen(apiPath);
}
