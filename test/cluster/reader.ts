import { LogClient } from '../../src/client/index.js';
import type { Load } from './load.js';

/** Reads of one kind at one node, each held to what was acknowledged before it was sent. */
export class Reader {
  answered = 0;
  refused = 0;
  readonly stale: string[] = [];
  readonly #client: LogClient;

  constructor(
    address: string,
    private readonly load: Load,
    private readonly linearizable: boolean,
  ) {
    this.#client = LogClient.connect(address);
  }

  close(): void {
    this.#client.close();
  }

  async read(): Promise<void> {
    const known = this.load.acknowledgedEnd;
    try {
      const { highWatermark } = await this.#client.read({
        from: { position: 'latest' },
        linearizable: this.linearizable,
        signal: AbortSignal.timeout(15_000),
      });
      this.answered += 1;
      if (highWatermark < known) this.stale.push(`watermark ${highWatermark}, ${known} was acknowledged`);
    } catch {
      this.refused += 1;
    }
  }

  describe(): string {
    return `${this.answered} answered, ${this.stale.length} of them stale, ${this.refused} refused`;
  }
}
