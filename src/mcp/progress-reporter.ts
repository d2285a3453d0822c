/** Progress of one call as notifications, at most a few each second. */
import type { Notification, ProgressToken } from '@modelcontextprotocol/server';
import { guestText } from './guest-text.js';
import type { ToolProgress } from './tool.js';

const INTERVAL_MS = 250;

export class ProgressReporter {
  readonly #token: ProgressToken | undefined;
  readonly #notify: (notification: Notification) => Promise<void>;
  #count = 0;
  #message = '';
  #lastAt = Number.NEGATIVE_INFINITY;

  /** @param token Absent when the client does not want to know. */
  constructor(token: ProgressToken | undefined, notify: (notification: Notification) => Promise<void>) {
    this.#token = token;
    this.#notify = notify;
  }

  /** A new message is told at once, a new figure of the same one when some time has passed. */
  report({ message, doneBytes, totalBytes }: ToolProgress): void {
    const now = performance.now();
    if (this.#token === undefined) return;
    if (message === this.#message && now - this.#lastAt < INTERVAL_MS) return;
    this.#message = message;
    this.#lastAt = now;
    // The protocol wants a figure that grows with each notification; phases have none in common.
    this.#count += 1;
    const bytes =
      doneBytes === undefined
        ? ''
        : `, ${mib(doneBytes)}${totalBytes === undefined ? '' : ` of ${mib(totalBytes)}`} MiB`;
    const params = {
      progressToken: this.#token,
      progress: this.#count,
      message: guestText(`${message}${bytes}`),
    };
    // A client that is gone needs no progress; its call is cancelled by other means.
    this.#notify({ method: 'notifications/progress', params }).catch(() => {});
  }
}

const mib = (bytes: number): string => (bytes / (1024 * 1024)).toFixed(1);
