import { setTimeout as delay } from 'node:timers/promises';
import { ClusterClient, type ClientTls, LogClient, Producer, RecordBatchBuilder } from '../../src/client/index.js';
import { freePorts } from '../cluster/free-ports.js';
import type { CertificateSet } from './certificate-sets.js';
import { SecureNode, tlsFlags } from './secure-node.js';

export const groupNames = ['n1', 'n2', 'n3'] as const;

/** Three nodes in this process that begin a cluster, each with the pair that `pairOf` says. */
export class SecureGroup {
  private constructor(
    readonly nodes: readonly SecureNode[],
    readonly addresses: readonly string[],
  ) {}

  static async start(
    set: CertificateSet,
    pairOf: (name: string) => string,
    ...flags: ReadonlyMap<string, unknown>[]
  ): Promise<SecureGroup> {
    const ports = await freePorts(groupNames.length);
    const gossipAddrs = (await freePorts(groupNames.length)).map((port) => `127.0.0.1:${port}`);
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    const own = (place: number): Map<string, unknown> =>
      new Map<string, unknown>([
        ['node-name', groupNames[place]],
        ['rpc-port', String(ports[place])],
        ['bootstrap-expect', '3'],
        ['bind-addr', gossipAddrs[place]],
        ['start-join-addrs', gossipAddrs.join(',')],
      ]);
    const nodes = groupNames.map((name, place) => SecureNode.start(tlsFlags(set, pairOf(name)), own(place), ...flags));
    return new SecureGroup(await Promise.all(nodes), addresses);
  }

  /** Resolves when every node knows all three as voters. */
  async formed(tls: ClientTls): Promise<void> {
    for (const address of this.addresses) {
      const cluster = new ClusterClient([address], tls);
      for (;;) {
        const { members } = await cluster.status({ local: true });
        const voters = members.filter(({ role }) => role !== 'learner').map(({ name }) => name);
        if (voters.sort().join() === groupNames.join()) break;
        await delay(20);
      }
      cluster.close();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

/** Appends record after record, `<name> 0`, `<name> 1` and so on, until it is stopped. */
export class Load {
  acknowledged = 0;
  #sent = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  private constructor(
    private readonly name: string,
    private readonly clients: readonly LogClient[],
    private readonly producer: Producer,
  ) {
    this.#done = this.#run();
    this.#done.catch(() => undefined);
  }

  static async start(name: string, addresses: readonly string[], tls?: ClientTls): Promise<Load> {
    const clients = addresses.map((address) => LogClient.connect(address, tls));
    let count = (_: number): void => undefined;
    const producer = await Producer.open(clients, { onAcknowledged: ({ recordCount }) => count(recordCount) });
    const load = new Load(name, clients, producer);
    count = (records) => (load.acknowledged += records);
    return load;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const builder = new RecordBatchBuilder(1_024);
      builder.add({ value: Buffer.from(`${this.name} ${this.#sent}`) });
      await this.producer.send(builder.take()!);
      this.#sent += 1;
      await delay(1);
    }
    await this.producer.flush();
  }

  /** Resolves when so many more are acknowledged; rejects when the producer has failed. */
  async progress(records: number): Promise<void> {
    const goal = this.acknowledged + records;
    while (this.acknowledged < goal) await Promise.race([delay(5), this.#done]);
  }

  /** Resolves with the values that were sent, all of them acknowledged. */
  async stop(): Promise<string[]> {
    this.#stopped = true;
    await this.#done;
    this.producer.close();
    for (const client of this.clients) client.close();
    return Array.from({ length: this.#sent }, (_, n) => `${this.name} ${n}`);
  }
}

/** Every record in the log, as text. */
export async function valuesAt(address: string, tls: ClientTls): Promise<string[]> {
  const client = LogClient.connect(address, tls);
  const values: string[] = [];
  const { highWatermark } = await client.read({ from: { position: 'latest' }, linearizable: true });
  while (values.length < highWatermark) {
    const { batches } = await client.read({ from: { offset: values.length } });
    for (const batch of batches) for (const { value } of batch.records()) values.push(Buffer.from(value).toString());
  }
  client.close();
  return values;
}
