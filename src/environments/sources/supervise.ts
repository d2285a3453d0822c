/**
 * Runs a program that cleans up after itself when it is asked to stop, but not when it is killed.
 *
 * `runTool` kills what it runs, and a kill -9 of this process leaves what it runs alone. Neither may leave
 * mmdebstrap's temporary trees behind (an ordinary user could not even remove those: their owners are ids
 * of the user's range). So it runs in a session of its own under a shell that passes on the end of the
 * process above it, however that came, as SIGTERM to the whole session. Source: setpriv(1), prctl(2)
 * PR_SET_PDEATHSIG.
 */
const SUPERVISED = 'trap "trap : TERM; kill -TERM 0; wait; exit 143" TERM; "$@" & wait $!';
const SUPERVISOR = 'setsid setpriv --pdeathsig TERM sh -c "$0" supervised "$@" & wait $!';

/** The command and arguments that run `command` in that way; its exit code is passed on. */
export function supervised(command: string, args: readonly string[]): [command: string, args: string[]] {
  return ['setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', SUPERVISOR, SUPERVISED, command, ...args]];
}
