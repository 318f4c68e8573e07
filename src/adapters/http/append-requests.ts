import { createContextKey } from '@connectrpc/connect';
import type { DescMessage } from '@bufbuild/protobuf';
import { AppendRequestSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ProduceRequestSchema } from '../../gen/log/v1/log_pb.js';
import { appendRequestOfJson, produceRequestOfJson } from './append-json.js';
import { inSlices, type Turns } from './turns.js';

/** Bytes of JSON that are made binary in one go. */
const shortJsonBytes = 4 * 1024;
const standIns = { binary: new Uint8Array(0), json: new TextEncoder().encode('{}') };

/** The messages of a call that appends; undefined where it does not. */
export const appendRequestsKey = createContextKey<AppendRequests | undefined>(undefined);

/** A binary message, and the bytes in which it was counted. */
interface TakenRequest {
  readonly message: Uint8Array;
  readonly bytes: number;
}

type Kept = TakenRequest | { readonly error: unknown };

/**
 * The messages of one call that appends, on their way past Connect to the handler. Connect's parser would make objects
 * of all records, of which a message may have 65,536; the handler takes the records out of the bytes. Connect parses an
 * empty message in place of each.
 */
export class AppendRequests {
  readonly #waiting: Kept[] = [];

  private constructor(
    private readonly input: DescMessage,
    private readonly turns: Turns,
    private readonly client: string,
  ) {}

  /** Undefined for a method that does not append. */
  static of(input: DescMessage, turns: Turns, client: string): AppendRequests | undefined {
    const appends = input.typeName === AppendRequestSchema.typeName || input.typeName === ProduceRequestSchema.typeName;
    return appends ? new AppendRequests(input, turns, client) : undefined;
  }

  /** Keeps a binary message for the handler; answers what Connect is to parse in its place. */
  keepBinary(message: Uint8Array): Uint8Array {
    this.#waiting.push({ message, bytes: message.length });
    return standIns.binary;
  }

  /** As `keepBinary`, once the JSON has been made binary; what is wrong with it is told to the handler. */
  async keepJson(message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    try {
      this.#waiting.push({ message: await this.#binaryOf(message, signal), bytes: message.length });
    } catch (error) {
      this.#waiting.push({ error });
    }
    return standIns.json;
  }

  /** The binary message that the handler was called with. Throws what is wrong with it. */
  take(): TakenRequest {
    const kept = this.#waiting.shift() ?? { message: standIns.binary, bytes: 0 };
    if ('error' in kept) throw kept.error;
    return kept;
  }

  async #binaryOf(message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (this.input.typeName === ProduceRequestSchema.typeName) return produceRequestOfJson(message);
    const steps = appendRequestOfJson(message);
    if (message.length <= shortJsonBytes) return inSlices(steps);
    return this.turns.run(this.client, signal, async (begin) => {
      await begin();
      return inSlices(steps);
    });
  }
}
