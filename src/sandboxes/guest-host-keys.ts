/** The host keys of an ssh server in a copied guest: no two machines may have the same. Source: sshd(8), ssh-keygen(1). */
import type { AgentClient } from '../agent/index.js';
import { BoundedBytes } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';

const DIRECTORY = '/etc/ssh';
const HOST_KEY = /^ssh_host_[a-z0-9]+_key$/;
/** RSA under emulation takes long. */
const RENEW_TIMEOUT_MS = 120_000;
const SHOWN_BYTES = 1024;
/** A key is replaced only by a whole one, of the same type. */
const RENEW = `cd ${DIRECTORY} || exit 1
for key in ssh_host_*_key; do
  type=\${key#ssh_host_}
  rm -f .renewed .renewed.pub
  ssh-keygen -q -t "\${type%_key}" -N "" -C "root@$(uname -n)" -f .renewed || exit 1
  mv -f .renewed.pub "$key.pub" && mv -f .renewed "$key" || exit 1
done`;

/**
 * Gives the guest new ones in the place of those it has; does nothing when it has none.
 *
 * @throws {HearthError} `VM_IDENTITY_UNCONFIRMED` when it cannot make them, and those of the agent.
 */
export async function renewHostKeys(
  agent: AgentClient,
  given: { readonly signal?: AbortSignal },
): Promise<void> {
  if (!(await hasHostKeys(agent, given))) return;
  const process = agent.exec(
    {
      argv: ['/bin/sh', '-c', RENEW],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      timeoutMs: RENEW_TIMEOUT_MS,
    },
    given,
  );
  const said = new BoundedBytes(SHOWN_BYTES);
  process.stdout.resume();
  process.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const { exitCode, timedOut } = await process.exited;
  if (exitCode === 0) return;
  throw new HearthError('VM_IDENTITY_UNCONFIRMED', 'the guest did not make ssh host keys of its own', {
    hint: `Install ssh-keygen in the guest, or remove ${DIRECTORY}/ssh_host_*_key, and fork again.`,
    details: { part: 'ssh host keys', exitCode, timedOut, stderr: said.encoded().text },
  });
}

async function hasHostKeys(agent: AgentClient, given: { readonly signal?: AbortSignal }): Promise<boolean> {
  try {
    const entries = await agent.files.list(DIRECTORY, given);
    return entries.some(({ path }) => HOST_KEY.test(Buffer.from(path).toString('latin1')));
  } catch (error) {
    if (HearthError.is(error) && error.code === 'GUEST_FILE_NOT_FOUND') return false;
    throw error;
  }
}
