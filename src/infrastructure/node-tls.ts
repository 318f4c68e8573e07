import type { X509Certificate } from 'node:crypto';
import { inClear, type PeerCredentials, PeerTrust, tlsCredentials } from '../adapters/peer/index.js';
import { certifiedCaller, OutgoingTls, TlsAcceptor, type TlsTexts } from '../adapters/tls/index.js';
import type { Logger } from '../application/ports/logger.js';
import { type Config, ConfigError, peerTlsFiles, serverTlsFiles, type TlsFiles } from './config.js';
import { readTexts, WatchedFiles } from './watched-files.js';

const dayMs = 86_400_000;
const soonDays = 30;

/** What a file must be; many tools write DER, which is not text. */
const expectedPem =
  ': expected PEM, to which openssl converts DER (openssl x509 -inform der -in FILE, or openssl pkey)';

async function readTls(files: TlsFiles): Promise<TlsTexts> {
  const { certificate, key, authority } = files;
  return {
    ...(await readTexts({ certificate, key }, expectedPem)),
    ...(authority && (await readTexts({ authority }, expectedPem))),
  };
}

const pathsOf = ({ certificate, key, authority }: TlsFiles): string[] => [
  certificate,
  key,
  ...(authority === undefined ? [] : [authority]),
];

/** The TLS of a node, for both listeners and the links to its peers; files are reloaded when they change. */
export class NodeTls {
  readonly #watched: WatchedFiles[] = [];

  private constructor(
    private readonly config: Config,
    private readonly logger: Logger,
    /** The TLS acceptors of gRPC and HTTP; undefined without TLS. */
    readonly acceptors: { readonly grpc: TlsAcceptor; readonly http: TlsAcceptor } | undefined,
    private readonly outgoing: OutgoingTls | undefined,
  ) {}

  /** Reads and watches the files. Rejects with `ConfigError` when one cannot be used. */
  static async open(config: Config, logger: Logger): Promise<NodeTls> {
    const [server, peer] = [serverTlsFiles(config), peerTlsFiles(config)];
    const texts = await orConfigError('server', server, (files) => readTls(files));
    const acceptors = await orConfigError('server', texts, async (own) => ({
      grpc: new TlsAcceptor(own, { protocols: ['h2'] }, logger),
      http: new TlsAcceptor(own, { protocols: ['h2', 'http/1.1'] }, logger),
    }));
    const outgoing = await orConfigError('peer', peer, async (files) => new OutgoingTls(await readTls(files), logger));
    const tls = new NodeTls(config, logger, acceptors, outgoing);
    if (acceptors) tls.#checkCertificate('--server-tls-cert-file', acceptors.grpc.material.certificate);
    if (outgoing) tls.#checkCertificate('--peer-tls-cert-file', outgoing.material.certificate);
    if (server) await tls.#watch('server', server, (texts) => tls.#replaceServer(texts));
    if (peer) await tls.#watch('peer', peer, (texts) => tls.#replacePeer(texts));
    return tls;
  }

  /** The credentials for connections to peers. */
  get credentials(): PeerCredentials {
    const { outgoing, config } = this;
    if (outgoing === undefined) return inClear;
    return tlsCredentials({
      outgoing,
      identify: certifiedCaller,
      own: () => certifiedCaller(outgoing.material.certificate),
      requireNodeIdentity: config['require-node-identity'],
    });
  }

  /** Decides which callers are accepted as peers; undefined without TLS, when the names of callers are not verified. */
  get trust(): PeerTrust | undefined {
    const { acceptors, config, logger } = this;
    if (acceptors === undefined) return undefined;
    return new PeerTrust({
      requireNodeIdentity: config['require-node-identity'],
      own: () => certifiedCaller(acceptors.grpc.material.certificate),
      allowedNames: config['allowed-node-names'],
      logger,
    });
  }

  /** Reloads all files. */
  async reload(): Promise<void> {
    await Promise.all(this.#watched.map((watched) => watched.reload()));
  }

  async close(): Promise<void> {
    this.acceptors?.grpc.close();
    this.acceptors?.http.close();
    this.outgoing?.close();
    await Promise.all(this.#watched.map((watched) => watched.stop()));
  }

  async #watch(side: 'server' | 'peer', files: TlsFiles, replace: (texts: TlsTexts) => void): Promise<void> {
    const reload = async (): Promise<void> => {
      try {
        replace(await readTls(files));
        this.logger.info('certificates_reloaded', { side, files: pathsOf(files) }, 'reloaded certificates');
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.logger.error(
          'certificates_reload_failed',
          { side, files: pathsOf(files), reason },
          'could not reload certificates; keeping the last ones',
        );
      }
    };
    this.#watched.push(await WatchedFiles.watch(pathsOf(files), reload));
  }

  #replaceServer(texts: TlsTexts): void {
    this.acceptors?.grpc.replace(texts);
    this.acceptors?.http.replace(texts);
    if (this.acceptors) this.#checkCertificate('--server-tls-cert-file', this.acceptors.grpc.material.certificate);
  }

  #replacePeer(texts: TlsTexts): void {
    this.outgoing?.replace(texts);
    if (this.outgoing) this.#checkCertificate('--peer-tls-cert-file', this.outgoing.material.certificate);
  }

  /** Logs what is wrong with the certificate: its lifetime and, with mutual TLS, the node that it names. */
  #checkCertificate(option: string, certificate: X509Certificate): void {
    const { config, logger } = this;
    const name = config['node-name'];
    const leftMs = Date.parse(certificate.validTo) - Date.now();
    const validTo = new Date(certificate.validTo).toISOString();
    if (leftMs <= 0) logger.error('certificate_expired', { option, validTo }, 'the certificate has expired');
    else if (leftMs < soonDays * dayMs)
      logger.warn('certificate_expires_soon', { option, validTo }, 'the certificate expires soon');
    if (config['server-tls-ca-file'] === undefined) return;
    const names = certifiedCaller(certificate)?.node?.names;
    if (names === undefined)
      logger.warn('certificate_not_for_node', { option }, 'the certificate is not for a node; peers will refuse it');
    else if (names.length === 0)
      logger.warn(
        'certificate_names_no_node',
        { option },
        'the certificate names no node; peers cannot tell this node from another',
      );
    else if (!names.includes(name))
      logger.warn(
        'certificate_for_other_node',
        { option, names, node: name },
        'the certificate names another node; peers will refuse it',
      );
  }
}

/** Runs `use` and rejects with a `ConfigError` that names the options when it fails. */
async function orConfigError<T, R>(
  side: 'server' | 'peer',
  value: T | undefined,
  use: (value: T) => Promise<R>,
): Promise<R | undefined> {
  if (value === undefined) return undefined;
  try {
    return await use(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`--${side}-tls-*: ${reason}`, { cause });
  }
}
