import {
  type ClientTls,
  type ConnectionProblem,
  connectionProblem,
  isServerError,
  RpcError,
  spanText,
  UnreachableError,
} from '../../client/index.js';
import { messageOf } from './exit-codes.js';

/**
 * The message of a failed call, for the terminal. Where no connection could be made, it asks the server why, and says
 * which flag to give.
 */
export async function failureMessage(
  command: string,
  error: unknown,
  addresses: readonly string[],
  tls: ClientTls | undefined,
): Promise<string> {
  const isLost = error instanceof RpcError && error.code === 'UNAVAILABLE' && !isServerError(error);
  if (isServerError(error) && error.code === 'UNAVAILABLE' && command !== statusCommand)
    return `${messageOf(error)}; ${statusSaysWhy}`;
  if (!isLost && !(error instanceof UnreachableError)) return messageOf(error);
  const address = unreachedAddress(error) ?? addresses[0];
  const problem = await connectionProblem(address, tls);
  if (problem === undefined) return `${messageOf(error)}${adviceFor(error)}`;
  return `cannot talk to ${address}: ${inWords(problem, address, tls)}`;
}

const statusCommand = 'cluster status';
const statusSaysWhy = `"golog ${statusCommand}" says why`;

/** What the command says once when it begins to wait for a server, with the reason. */
export function waitingMessage(reason: unknown, what: string, timeoutMs: number): string {
  const why = isServerError(reason) && reason.code === 'UNAVAILABLE' ? `; ${statusSaysWhy}` : '';
  return `${what} (${messageOf(reason)}); retrying for up to ${spanText(timeoutMs)}${why}`;
}

/** What to do about a server that does not answer. */
function adviceFor(error: unknown): string {
  if (!(error instanceof UnreachableError)) return '';
  if (/ENOTFOUND|host name/.test(error.message)) return '; correct --addr or GOLOG_ADDR, or the name service';
  return /ECONNREFUSED|no server answers/.test(error.message)
    ? `; start a node there, or give --addr, or GOLOG_ADDR, the gRPC address of one that runs`
    : '';
}

/** The address of the first server that was tried, from the causes of an error; undefined when none names it. */
function unreachedAddress(error: unknown): string | undefined {
  let address: string | undefined;
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof UnreachableError && !at.address.includes(',')) ({ address } = at);
  return address;
}

function inWords({ kind, detail }: ConnectionProblem, address: string, tls: ClientTls | undefined): string {
  const host = address.slice(0, address.lastIndexOf(':'));
  switch (kind) {
    case 'speaks-tls':
      return 'the server speaks TLS; give --tls-ca-file, or set GOLOG_TLS_CA_FILE';
    case 'speaks-no-tls':
      return 'the server does not speak TLS; leave out the --tls options, and unset GOLOG_TLS_*';
    case 'not-grpc':
      return 'it is not a gRPC server; give --addr the gRPC port of a node, 8400 by default';
    case 'untrusted':
      return tls?.ca === undefined
        ? 'no CA that Node trusts has signed the certificate of the server; give --tls-ca-file, or set GOLOG_TLS_CA_FILE'
        : 'the CA of --tls-ca-file has not signed the certificate of the server; give the CA of this cluster';
    case 'other-name':
      return `the certificate of the server is not for ${host}, but for ${detail === '' ? 'no host' : detail}; give --addr such a name, or make a certificate for ${host}`;
    case 'out-of-date':
      return 'the certificate of the server has expired or is not valid yet; renew it, or correct the clock';
    case 'certificate-required':
      return 'the server asks for a client certificate; give --tls-cert-file and --tls-key-file, or set GOLOG_TLS_CERT_FILE and GOLOG_TLS_KEY_FILE';
    case 'certificate-refused':
      return `the server refuses the certificate of --tls-cert-file${detail === undefined ? '' : ` (${detail})`}; give one that the CA of the cluster has signed and that has not expired`;
  }
}
