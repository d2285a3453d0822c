/**
 * What a caller can do about an error: a closed set, and the only place that
 * knows exit codes, HTTP statuses and whether a retry can help.
 */
export const ERROR_KINDS = {
  /** The request is malformed. */
  usage: { exitCode: 2, httpStatus: 400, retry: false },
  /** The named thing does not exist. */
  notFound: { exitCode: 3, httpStatus: 404, retry: false },
  /** Credentials or rights are missing. */
  denied: { exitCode: 4, httpStatus: 403, retry: false },
  /** Exists already, is in use, or is in the wrong state. */
  conflict: { exitCode: 5, httpStatus: 409, retry: false },
  /** This host, VMM or build cannot do it. */
  unsupported: { exitCode: 6, httpStatus: 501, retry: false },
  /** A peer is down or busy: registry, daemon, agent. */
  unavailable: { exitCode: 7, httpStatus: 503, retry: true },
  /** It took longer than allowed. */
  timeout: { exitCode: 8, httpStatus: 504, retry: true },
  /** Bytes are not what they claim to be. */
  integrity: { exitCode: 9, httpStatus: 422, retry: false },
  /** Too big, too many, or the disk is full. */
  limit: { exitCode: 10, httpStatus: 413, retry: false },
  /** A bug of ours; 70 is EX_SOFTWARE of sysexits(3). */
  internal: { exitCode: 70, httpStatus: 500, retry: false },
} as const satisfies Record<string, { exitCode: number; httpStatus: number; retry: boolean }>;

export type ErrorKind = keyof typeof ERROR_KINDS;
