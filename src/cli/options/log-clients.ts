import { type ClientTls, LogClient } from '../../client/index.js';
import type { ServerFlags } from './cluster-call.js';
import { messageOf } from './exit-codes.js';
import { clientTls } from './tls-options.js';

export interface LogConnections {
  readonly clients: readonly LogClient[];
  readonly tls: ClientTls | undefined;
}

/** Creates a client for each server. Prints the error and returns undefined when a TLS file cannot be used. */
export function connectLogs(command: string, flags: ServerFlags): LogConnections | undefined {
  try {
    const tls = clientTls(flags);
    return { tls, clients: flags.addr.map((address) => LogClient.connect(address, tls)) };
  } catch (error) {
    process.stderr.write(`golog ${command}: ${messageOf(error)}\n`);
    return undefined;
  }
}
