import { MemoryAuthorizer } from '../adapters/memory/memory-authorizer.js';
import { Access } from '../application/access.js';
import type { Logger } from '../application/ports/logger.js';
import type { Config } from './config.js';
import { watchPolicy } from './node-policy.js';
import { NodeTls } from './node-tls.js';
import type { WatchedFiles } from './watched-files.js';

/** Who gets in, and what they may do; all of it from files that may change while the node runs. */
export class NodeSecurity {
  private constructor(
    readonly tls: NodeTls,
    readonly access: Access,
    /** In words, for the line that says that the node serves. */
    readonly summary: string,
    private readonly policy: WatchedFiles | undefined,
  ) {}

  /** Rejects with `ConfigError` where a certificate cannot be used. A policy that cannot be used denies everything. */
  static async open(config: Config, logger: Logger): Promise<NodeSecurity> {
    const tls = await NodeTls.open(config, logger);
    const { 'acl-model-file': model, 'acl-policy-file': policy } = config;
    if (model === undefined || policy === undefined) {
      const open = tls.acceptors === undefined;
      const access = new Access(new MemoryAuthorizer('allow all'), logger, open);
      return new NodeSecurity(tls, access, summaryOf(config, false), undefined);
    }
    const { CasbinAuthorizer } = await import('../adapters/acl/index.js');
    const authorizer = new CasbinAuthorizer();
    const watched = await watchPolicy(authorizer, { model, policy }, logger);
    return new NodeSecurity(tls, new Access(authorizer, logger), summaryOf(config, true), watched);
  }

  /** Reads certificates and policy again. */
  async reload(): Promise<void> {
    await Promise.all([this.tls.reload(), this.policy?.reload()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.tls.close(), this.policy?.stop()]);
  }
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
