import { createClient, type Client } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientTls } from '../../src/client/index.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';

/** A call of somebody honest may take so long while the node is attacked. */
const honestDeadlineMs = 10_000;
/** So many calls of somebody honest come through before an attack is over. */
export const honestCallsMin = 12;

/** Calls both listeners over and over, by all protocols. */
export class HonestClient {
  calls = 0;
  slowestMs = 0;
  /** The time that each call took. */
  readonly latenciesMs: number[] = [];
  readonly failures: unknown[] = [];
  readonly #clients: Client<typeof Log>[];
  readonly #sessions: Http2SessionManager[];
  readonly #agent: Agent;
  #working = false;
  #work: Promise<unknown> = Promise.resolve();

  constructor(grpcPort: number, httpPort: number, tls?: ClientTls) {
    const [grpc, http] = [grpcPort, httpPort].map((port) => `http${tls ? 's' : ''}://127.0.0.1:${port}`);
    this.#sessions = [grpc, http].map((url) => new Http2SessionManager(url, {}, { ...tls }));
    // Else a call may find the connection of the one before still busy, and open another.
    const stored = { keepAlive: true, maxSockets: 1 };
    this.#agent = tls ? new TlsAgent({ ...stored, ...tls }) : new Agent(stored);
    this.#clients = [
      createGrpcTransport({ baseUrl: grpc, sessionManager: this.#sessions[0] }),
      createGrpcTransport({ baseUrl: http, sessionManager: this.#sessions[1] }),
      createConnectTransport({ baseUrl: http, httpVersion: '1.1', nodeOptions: { agent: this.#agent } }),
    ].map((transport) => createClient(Log, transport));
  }

  /** What 99 of 100 calls did not exceed. */
  get p99Ms(): number {
    const ascending = this.latenciesMs.toSorted((a, b) => a - b);
    return ascending[Math.floor(ascending.length * 0.99)] ?? 0;
  }

  start(): void {
    this.#working = true;
    this.#work = Promise.all(this.#clients.map((client) => this.#workWith(client)));
  }

  /** Hangs up as well: what is left then is not his. */
  async stop(): Promise<void> {
    this.#working = false;
    await this.#work;
    for (const session of this.#sessions) session.abort();
    this.#agent.destroy();
  }

  async #workWith(client: Client<typeof Log>): Promise<void> {
    const record = { value: Buffer.from('honest') };
    while (this.#working) {
      try {
        const { offset } = await this.#timed(client.produce({ record }, { timeoutMs: honestDeadlineMs }));
        await this.#timed(client.consume({ offset }, { timeoutMs: honestDeadlineMs }));
      } catch (error) {
        this.failures.push(error);
      }
      await delay(5);
    }
  }

  async #timed<T>(call: Promise<T>): Promise<T> {
    const startedMs = performance.now();
    try {
      const response = await call;
      this.calls += 1;
      return response;
    } finally {
      const latencyMs = performance.now() - startedMs;
      this.latenciesMs.push(latencyMs);
      this.slowestMs = Math.max(this.slowestMs, latencyMs);
    }
  }
}
