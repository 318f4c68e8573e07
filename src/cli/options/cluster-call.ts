import { type ClientTls, ClusterClient } from '../../client/index.js';
import { ExitCode, exitCodeOf } from './exit-codes.js';
import { failureMessage } from './failure-message.js';
import { interruptible } from './interruption.js';
import { ReaderLeftError } from './standard-output.js';
import { clientTls, type TlsFlags } from './tls-options.js';

/** The addresses of the servers, and the TLS options for reaching them. */
export interface ServerFlags extends TlsFlags {
  readonly addr: readonly string[];
}

/**
 * Runs one command against a cluster: `task` calls the cluster and prints the result. Failures go to stderr and
 * determine the exit code.
 *
 * @param command the name of the command, such as `member add`
 */
export function withCluster(
  command: string,
  servers: ServerFlags,
  task: (cluster: ClusterClient, signal: AbortSignal) => Promise<void>,
): Promise<ExitCode> {
  return interruptible(async (signal) => {
    let cluster: ClusterClient | undefined;
    let tls: ClientTls | undefined;
    try {
      tls = clientTls(servers);
      cluster = new ClusterClient(servers.addr, tls);
      await task(cluster, signal);
      return signal.aborted ? ExitCode.interrupted : ExitCode.ok;
    } catch (error) {
      if (error instanceof ReaderLeftError) return ExitCode.ok;
      if (signal.aborted) return ExitCode.interrupted;
      process.stderr.write(`golog ${command}: ${await failureMessage(command, error, servers.addr, tls)}\n`);
      return exitCodeOf(error);
    } finally {
      cluster?.close();
    }
  });
}
