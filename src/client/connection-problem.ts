import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import type { ClientTls } from './tls.js';

/**
 * Why a server that can be reached is not one that this client can talk to:
 *
 * - `speaks-tls`: the client was not given TLS.
 * - `speaks-no-tls`: the client was given TLS.
 * - `not-grpc`: something else listens there.
 * - `untrusted`: the certificate of the server is not signed by a CA that the client trusts.
 * - `other-name`: the certificate of the server is for other names; `detail` has them.
 * - `out-of-date`: the certificate of the server has expired, or is not valid yet.
 * - `certificate-required`: the server asks for a certificate of the client.
 * - `certificate-refused`: the server does not accept that of the client; `detail` may say why.
 */
export type ConnectionProblemKind =
  | 'speaks-tls'
  | 'speaks-no-tls'
  | 'not-grpc'
  | 'untrusted'
  | 'other-name'
  | 'out-of-date'
  | 'certificate-required'
  | 'certificate-refused';

export interface ConnectionProblem {
  readonly kind: ConnectionProblemKind;
  readonly detail?: string;
}

const probeMs = 3_000;
const untrustedCodes: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
]);

/**
 * Connects to a server that could not be called, to learn what is wrong. Resolves with undefined when the server cannot
 * be reached, does not answer in three seconds, or has no such problem.
 *
 * @param address HOST:PORT
 */
export async function connectionProblem(
  address: string,
  tls: ClientTls | undefined,
): Promise<ConnectionProblem | undefined> {
  const [host, port] = hostAndPort(address);
  const inClear = await answerInClear(host, port);
  if (inClear === undefined || (inClear === 'http2' && tls === undefined)) return undefined;
  if (inClear === 'http2') return { kind: 'speaks-no-tls' };
  const end = await handshake(host, port, tls);
  if (tls === undefined || !end.answeredInTls) return { kind: end.answeredInTls ? 'speaks-tls' : 'not-grpc' };
  if (end.code === undefined) return undefined;
  if (untrustedCodes.has(end.code)) return { kind: 'untrusted' };
  if (end.code === 'ERR_TLS_CERT_ALTNAME_INVALID') return { kind: 'other-name', detail: namesOf(end.certificate) };
  if (end.code === 'CERT_HAS_EXPIRED' || end.code === 'CERT_NOT_YET_VALID') return { kind: 'out-of-date' };
  if (tls.cert === undefined) return { kind: 'certificate-required' };
  const alert = /ALERT_(.*)/.exec(end.code)?.[1];
  return {
    kind: 'certificate-refused',
    ...(alert !== undefined && { detail: alert.toLowerCase().replaceAll('_', ' ') }),
  };
}

/** Whether anything answers at HOST:PORT, within three seconds. */
export async function isAnswered(address: string): Promise<boolean> {
  const [host, port] = hostAndPort(address);
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: probeMs });
    const settle = (answered: boolean) => (): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', settle(true)).once('timeout', settle(false)).once('error', settle(false));
  });
}

function hostAndPort(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), Number(address.slice(colon + 1))];
}

/** What clients of HTTP/2 send first: the preface and empty settings (RFC 9113 §3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
const settingsFrame = 4;

/** How a server answers a client of HTTP/2 without TLS; undefined when it cannot be reached or is silent. */
function answerInClear(host: string, port: number): Promise<'http2' | 'other' | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: probeMs });
    let isConnected = false;
    const settle = (answer: 'http2' | 'other' | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => {
      isConnected = true;
      socket.write(preface);
    });
    socket.once('data', (bytes: Buffer) => settle(bytes[3] === settingsFrame ? 'http2' : 'other'));
    socket.once('timeout', () => settle(undefined));
    const ended = (): void => settle(isConnected ? 'other' : undefined);
    socket.once('error', ended).once('close', ended);
  });
}

interface HandshakeEnd {
  /** Whether the server answered in TLS at all. */
  readonly answeredInTls: boolean;
  /** The code of the error; undefined when the server talks HTTP/2 or is silent. */
  readonly code: string | undefined;
  readonly certificate: PeerCertificate | undefined;
}

/** Does a TLS handshake as clients of HTTP/2 do, until the server sends its settings or ends the connection. */
function handshake(host: string, port: number, tls: ClientTls | undefined): Promise<HandshakeEnd> {
  return new Promise((resolve) => {
    // Whether the certificate is valid is looked at afterwards: the server may have something to say as well.
    const socket = connectTls({
      host,
      port,
      timeout: probeMs,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false,
      ...(isIP(host) === 0 && { servername: host }),
      ...tls,
    });
    let certificate: PeerCertificate | undefined;
    const settle = (code: string | undefined): void => {
      const answeredInTls = certificate !== undefined || /^ERR_SSL_.*ALERT/.test(code ?? '');
      socket.destroy();
      resolve({ answeredInTls, code, certificate });
    };
    socket.once('secureConnect', () => {
      certificate = socket.getPeerCertificate();
      // Typed as an Error, it is the code of one.
      const invalid: unknown = socket.authorizationError;
      if (tls !== undefined && typeof invalid === 'string') settle(invalid);
    });
    socket.once('data', () => settle(undefined)).once('timeout', () => settle(undefined));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => settle(code ?? 'unknown'));
    socket.once('close', () => settle('ECONNRESET'));
  });
}

function namesOf(certificate: PeerCertificate | undefined): string {
  const names = certificate?.subjectaltname ?? '';
  return names
    .replaceAll('IP Address:', '')
    .replaceAll('DNS:', '')
    .replaceAll(/,? ?URI:[^,]*/g, '')
    .replace(/^, /, '');
}
