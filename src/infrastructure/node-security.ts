import { MemoryAuthorizer } from '../adapters/memory/memory-authorizer.js';
import { Access } from '../application/access/access.js';
import type { Clock } from '../application/ports/clock.js';
import type { Logger } from '../application/ports/logger.js';
import { type Config, ConfigError, serverTlsFiles } from './config.js';
import { watchPolicy } from './node-policy.js';
import { NodeTls } from './node-tls.js';
import type { WatchedFiles } from './watched-files.js';

/** Authentication and access control of a node, from files that may change while it runs. */
export class NodeSecurity {
  private constructor(
    readonly tls: NodeTls,
    readonly access: Access,
    /** A description for the `serving` log line. */
    readonly summary: string,
    private readonly policy: WatchedFiles | undefined,
  ) {}

  /** Rejects with `ConfigError` when a certificate cannot be used. An unusable policy denies everything instead. */
  static async open(config: Config, logger: Logger, clock: Clock): Promise<NodeSecurity> {
    if (isForCluster(config)) assertPeersProve(config);
    const tls = await NodeTls.open(config, logger);
    const { 'acl-model-file': model, 'acl-policy-file': policy } = config;
    if (model === undefined || policy === undefined) {
      const open = tls.acceptors === undefined;
      const access = new Access(new MemoryAuthorizer('allow all'), logger, clock, open);
      return new NodeSecurity(tls, access, summaryOf(config, false), undefined);
    }
    const { CasbinAuthorizer } = await import('../adapters/acl/index.js');
    const authorizer = new CasbinAuthorizer();
    const watched = await watchPolicy(authorizer, { model, policy }, logger);
    return new NodeSecurity(tls, new Access(authorizer, logger, clock), summaryOf(config, true), watched);
  }

  /** Reads certificates and policy again. */
  async reload(): Promise<void> {
    await Promise.all([this.tls.reload(), this.policy?.reload()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.tls.close(), this.policy?.stop()]);
  }
}

function isForCluster(config: Config): boolean {
  return config['start-join-addrs'].length > 0 || config['bootstrap-expect'] > 1 || config.replica;
}

/**
 * Asserts that peers can prove that they are nodes, unless every caller may do everything. Otherwise this node would
 * refuse every call from a peer, and a cluster could never form.
 *
 * @throws ConfigError
 */
export function assertPeersProve(config: Config): void {
  if (config['server-tls-ca-file'] !== undefined) return;
  const alone =
    'a single-node cluster needs no peer certificates: remove --start-join-addrs, --bootstrap-expect and --replica';
  if (serverTlsFiles(config) !== undefined)
    throw new ConfigError(`with --server-tls-cert-file peers need certificates: give --server-tls-ca-file; ${alone}`);
  if (config['acl-policy-file'] !== undefined)
    throw new ConfigError(
      `with --acl-policy-file peers need certificates: give --server-tls-cert-file, --server-tls-key-file and --server-tls-ca-file (golog certs init makes them); ${alone}`,
    );
}

function summaryOf(config: Config, hasAcl: boolean): string {
  const isEncrypted = config['server-tls-cert-file'] !== undefined;
  const isCertified = config['server-tls-ca-file'] !== undefined;
  if (!isEncrypted && !hasAcl) return 'anonymous: no TLS and no ACL, every caller may do everything';
  const who = isCertified
    ? 'mutual TLS: callers are who their certificates say'
    : `anonymous: ${isEncrypted ? 'TLS without client certificates' : 'no TLS'}`;
  return `${who}; ${hasAcl ? 'the ACL says what they may do' : 'no ACL, every caller may do everything'}`;
}
