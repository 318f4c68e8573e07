import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client } from '@grpc/grpc-js';
import { fromServiceError, isServerError } from '../../src/client/errors.js';
import { channelCredentials, type ClientTls } from '../../src/client/tls.js';
import type { Consistency } from '../../src/gen/golog/v1/log_service_pb.js';
import { LogService, Position, ReadRequestSchema, ReadResponseSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import type { Load } from './load.js';

const path = `/${LogService.typeName}/${LogService.method.read.name}`;
const same = (bytes: Buffer): Buffer => bytes;
const deadlineMs = 15_000;

/**
 * Reads of one kind at one node, each held to what was acknowledged before it was sent. The connection is kept however
 * long the node is silent, so that reads wait for it there.
 */
export class Reader {
  answered = 0;
  /** By the node itself. */
  refused = 0;
  /** Without a word of the node. */
  lost = 0;
  readonly stale: string[] = [];
  readonly #client: Client;
  readonly #request: Buffer;

  constructor(
    address: string,
    private readonly load: Pick<Load, 'acknowledgedEnd'>,
    consistency: Consistency.LINEARIZABLE | Consistency.LOCAL,
    tls: ClientTls | undefined,
  ) {
    this.#client = new Client(address, channelCredentials(tls));
    const from = { case: 'position', value: Position.LATEST } as const;
    this.#request = Buffer.from(toBinary(ReadRequestSchema, create(ReadRequestSchema, { from, consistency })));
  }

  close(): void {
    this.#client.close();
  }

  read(): Promise<void> {
    const known = this.load.acknowledgedEnd;
    return new Promise((resolve) => {
      const deadline = Date.now() + deadlineMs;
      this.#client.makeUnaryRequest(path, same, same, this.#request, { deadline }, (error, response) => {
        if (error !== null || response === undefined) {
          if (isServerError(fromServiceError(error, ''))) this.refused += 1;
          else this.lost += 1;
        } else {
          this.answered += 1;
          const watermark = Number(fromBinary(ReadResponseSchema, response).highWatermark);
          if (watermark < known) this.stale.push(`watermark ${watermark}, ${known} was acknowledged`);
        }
        resolve();
      });
    });
  }

  describe(): string {
    return `${this.answered} answered, ${this.stale.length} of them stale, ${this.refused} refused, ${this.lost} lost`;
  }
}
