/** What this machine has and lacks for hearth, each lack with the command that mends it. Changes nothing. */
import { constants } from 'node:fs';
import { access, copyFile, mkdtemp, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { formatSize, GIB } from '../bytes/index.js';
import { errnoOf, HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { runTool } from '../subprocess/index.js';

/** `warn`: hearth works, something is slower or unavailable. `fail`: `hearth run` cannot work. */
export type CheckStatus = 'pass' | 'warn' | 'fail';

export interface HostCheck {
  /** Stable name: `qemu`, `kvm`, `disk-space`. */
  readonly id: string;
  readonly status: CheckStatus;
  /** What was found, one line. */
  readonly reason: string;
  /** The command that mends it; absent when there is nothing to mend. */
  readonly fix?: string;
}

export interface DoctorOptions {
  readonly paths: HearthPaths;
  readonly agentPath: string;
}

const TOOL_TIMEOUT_MS = 10_000;
const LEAST_FREE_BYTES = 2 * GIB;
const MAX_SOCKET_PATH_BYTES = 107;
/** The longest name below the runtime directory: `<sandbox id>/agent.sock`. */
const SOCKET_NAME_BYTES = 48;

async function toolOutput(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await runTool(command, args, { timeoutMs: TOOL_TIMEOUT_MS });
    return stdout.toString('utf8').split('\n')[0]?.trim() ?? '';
  } catch (error) {
    if (HearthError.is(error)) return undefined;
    throw error;
  }
}

async function checkTool(
  id: string,
  command: string,
  purpose: string,
  packageName: string,
  lack: CheckStatus,
): Promise<HostCheck> {
  const line = await toolOutput(command, ['--version']);
  if (line !== undefined) return { id, status: 'pass', reason: line };
  return {
    id,
    status: lack,
    reason: `${command} is not installed; ${purpose}`,
    fix: `sudo apt-get install --no-install-recommends ${packageName}`,
  };
}

function checkNode(): HostCheck {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const reason = `node ${process.versions.node}`;
  if (major > 20 || (major === 20 && minor >= 19)) return { id: 'node', status: 'pass', reason };
  return {
    id: 'node',
    status: 'fail',
    reason: `${reason} is older than 20.19`,
    fix: 'Install Node.js 20.19 or later from https://nodejs.org',
  };
}

function checkPlatform(): HostCheck {
  const reason = `${process.platform}/${process.arch}`;
  if (process.platform === 'linux' && process.arch === 'x64')
    return { id: 'platform', status: 'pass', reason };
  return {
    id: 'platform',
    status: 'fail',
    reason: `${reason}; hearth runs on linux/x64`,
    fix: 'Use a Linux machine with an x86-64 processor',
  };
}

async function checkKvm(): Promise<HostCheck> {
  const slower = 'guests run under emulation';
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
    return {
      id: 'kvm',
      status: 'pass',
      reason: '/dev/kvm opens; whether a guest really runs is probed at the first start',
    };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return {
        id: 'kvm',
        status: 'warn',
        reason: `/dev/kvm does not exist; ${slower}`,
        fix: 'Switch on virtualisation in the firmware or the outer hypervisor, then: sudo modprobe kvm',
      };
    }
    return {
      id: 'kvm',
      status: 'warn',
      reason: `no permission for /dev/kvm; ${slower}`,
      fix: `sudo usermod --append --groups kvm ${userInfo().username}`,
    };
  }
}

/** mmdebstrap as an ordinary user needs a range of subordinate user ids. */
async function checkUserNamespaces(): Promise<HostCheck> {
  const id = 'user-namespaces';
  const { uid, username } = userInfo();
  if (uid === 0) return { id, status: 'pass', reason: 'not needed as root' };
  const entries = await readFile('/etc/subuid', 'utf8').catch(() => '');
  const own = entries
    .split('\n')
    .some((line) => line.startsWith(`${username}:`) || line.startsWith(`${uid}:`));
  if (own) return { id, status: 'pass', reason: `${username} has subordinate user ids` };
  return {
    id,
    status: 'warn',
    reason: `${username} has no subordinate user ids; environments cannot be made from Debian packages`,
    fix: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${username}`,
  };
}

/** The nearest directory on the way to `path` that exists already. */
async function existingParent(path: string): Promise<string> {
  for (let current = path; ; current = dirname(current)) {
    if ((await stat(current).catch(() => undefined))?.isDirectory() === true || current === dirname(current))
      return current;
  }
}

async function checkSpace(paths: HearthPaths): Promise<HostCheck> {
  const id = 'disk-space';
  const place = await existingParent(paths.data);
  const { bavail, bsize } = await statfs(place);
  const freeBytes = bavail * bsize;
  const reason = `${formatSize(freeBytes)} free for ${paths.data}`;
  if (freeBytes >= LEAST_FREE_BYTES) return { id, status: 'pass', reason };
  return {
    id,
    status: 'warn',
    reason: `only ${reason}`,
    fix: 'hearth cache prune, or set HEARTH_HOME to a larger file system',
  };
}

/** Whether the data directory can share blocks between files, tried on a file of its own. */
async function checkReflink(paths: HearthPaths): Promise<HostCheck> {
  const id = 'reflink';
  const place = await existingParent(paths.data);
  let probe: string;
  try {
    probe = await mkdtemp(join(place, '.hearth-doctor-'));
  } catch {
    return {
      id,
      status: 'fail',
      reason: `${place} is not writable`,
      fix: 'Set HEARTH_HOME to a directory of your own',
    };
  }
  try {
    await writeFile(join(probe, 'a'), 'x');
    await copyFile(join(probe, 'a'), join(probe, 'b'), constants.COPYFILE_FICLONE_FORCE);
    return { id, status: 'pass', reason: `${place} clones files by reflink` };
  } catch {
    return { id, status: 'pass', reason: `${place} has no reflink; clones are overlay files` };
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

async function checkAgent(agentPath: string): Promise<HostCheck> {
  const id = 'guest-agent';
  try {
    await access(agentPath, constants.R_OK);
    return { id, status: 'pass', reason: agentPath };
  } catch {
    return { id, status: 'fail', reason: `no guest agent at ${agentPath}`, fix: 'npm run setup' };
  }
}

function checkSockets(paths: HearthPaths): HostCheck {
  const id = 'socket-paths';
  const longest = Buffer.byteLength(paths.runtime) + SOCKET_NAME_BYTES;
  if (longest <= MAX_SOCKET_PATH_BYTES) return { id, status: 'pass', reason: paths.runtime };
  return {
    id,
    status: 'fail',
    reason: `socket paths below ${paths.runtime} would have ${longest} bytes, at most ${MAX_SOCKET_PATH_BYTES} are possible`,
    fix: 'Set HEARTH_HOME to a shorter path',
  };
}

/** Runs every check; the order is the order to mend things in. */
export async function checkHost({ paths, agentPath }: DoctorOptions): Promise<HostCheck[]> {
  return Promise.all([
    checkPlatform(),
    checkNode(),
    checkTool('qemu', 'qemu-system-x86_64', 'it runs the virtual machines', 'qemu-system-x86', 'fail'),
    checkKvm(),
    checkTool(
      'mmdebstrap',
      'mmdebstrap',
      'environments cannot be made from Debian packages',
      'mmdebstrap',
      'warn',
    ),
    checkUserNamespaces(),
    checkTool('apt', 'apt-get', 'kernels cannot be fetched; use hearth kernel import', 'apt', 'warn'),
    checkTool(
      'dpkg-deb',
      'dpkg-deb',
      'kernel packages cannot be opened; use hearth kernel import',
      'dpkg',
      'warn',
    ),
    checkTool('flock', 'flock', 'it takes the locks between hearth commands', 'util-linux', 'fail'),
    checkAgent(agentPath),
    checkSpace(paths),
    checkReflink(paths),
    checkSockets(paths),
  ]);
}
