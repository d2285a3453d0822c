/**
 * The sessions of clients that open with `initialize`, as they did until 2025: one server of the protocol each.
 * Nothing but the handshake is in a session, so that one that is dropped costs its client a new handshake.
 */
import { randomUUID } from 'node:crypto';
import { type McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { HearthError } from '../../errors/index.js';

interface Session {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly server: McpServer;
  /** Requests under way. */
  busyCount: number;
}

export const SESSION_HEADER = 'mcp-session-id';
const MAX_SESSIONS = 64;

export class Sessions {
  readonly #create: () => McpServer;
  readonly #mostCount: number;
  /** The one that was used longest ago comes first. */
  readonly #sessions = new Map<string, Session>();

  constructor(create: () => McpServer, mostCount: number = MAX_SESSIONS) {
    this.#create = create;
    this.#mostCount = mostCount;
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** @throws {HearthError} `REQUESTS_TOO_MANY` when every session there may be is busy. */
  async answer(request: Request): Promise<{ readonly response: Response; readonly done: () => void }> {
    const id = request.headers.get(SESSION_HEADER);
    const known = id === null ? undefined : this.#sessions.get(id);
    if (id !== null && known === undefined) return { response: unknownSession(), done: () => {} };
    if (known === undefined) this.#makeRoom();
    const session = known ?? (await this.#open());
    if (id !== null) this.#touch(id, session);
    session.busyCount += 1;
    const done = (): void => {
      session.busyCount -= 1;
      // Whatever asked without a session and was no handshake has made none.
      if (session.transport.sessionId === undefined) void session.server.close();
    };
    try {
      return { response: await session.transport.handleRequest(request), done };
    } catch (error) {
      done();
      throw error;
    }
  }

  async close(): Promise<void> {
    const all = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(all.map(({ server }) => server.close()));
  }

  async #open(): Promise<Session> {
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        this.#makeRoom();
        this.#sessions.set(id, session);
      },
      onsessionclosed: (id) => void this.#drop(id),
    });
    const session: Session = { transport, server: this.#create(), busyCount: 0 };
    await session.server.connect(transport);
    return session;
  }

  #makeRoom(): void {
    while (this.#sessions.size >= this.#mostCount) {
      const [idle] = [...this.#sessions].find(([, { busyCount }]) => busyCount === 0) ?? [];
      if (idle === undefined) {
        throw new HearthError('REQUESTS_TOO_MANY', `${this.#mostCount} clients are at work`, {
          hint: 'Wait for one of them to end.',
          details: { most: this.#mostCount },
        });
      }
      void this.#drop(idle);
    }
  }

  #touch(id: string, session: Session): void {
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
  }

  async #drop(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    this.#sessions.delete(id);
    await session?.server.close();
  }
}

/** What the protocol says to a session that is no more: its client opens a new one. */
function unknownSession(): Response {
  const error = { code: -32001, message: 'Session not found' };
  return Response.json({ jsonrpc: '2.0', error, id: null }, { status: 404 });
}
