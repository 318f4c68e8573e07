import { LogClient } from '../../client/index.js';
import type { ServerFlags } from './cluster-call.js';
import { messageOf } from './exit-codes.js';
import { clientTls } from './tls-options.js';

/** A client of each server; undefined, and said on stderr, where a file of TLS cannot be used. */
export function connectLogs(command: string, flags: ServerFlags): LogClient[] | undefined {
  try {
    const tls = clientTls(flags);
    return flags.addr.map((address) => LogClient.connect(address, tls));
  } catch (error) {
    process.stderr.write(`golog ${command}: ${messageOf(error)}\n`);
    return undefined;
  }
}
