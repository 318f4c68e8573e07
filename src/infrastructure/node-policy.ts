import type { CasbinAuthorizer } from '../adapters/acl/index.js';
import type { Logger } from '../application/ports/logger.js';
import { readTexts, WatchedFiles } from './watched-files.js';

/** The paths of the Casbin model and policy. */
export interface PolicyFiles {
  readonly model: string;
  readonly policy: string;
}

/**
 * Loads the policy into the authorizer, and again whenever the files change. A policy that cannot be read or parsed is
 * logged and changes nothing; until the first valid policy, everything is denied.
 */
export async function watchPolicy(
  authorizer: CasbinAuthorizer,
  files: PolicyFiles,
  logger: Logger,
): Promise<WatchedFiles> {
  let loaded = false;
  const load = async (): Promise<void> => {
    const { model, policy } = files;
    try {
      await authorizer.replace(await readTexts({ model, policy }));
      logger.info({ model, policy }, loaded ? 'the ACL was reloaded' : 'the ACL was loaded');
      loaded = true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const effect = loaded ? 'the last good one holds' : 'everything is denied';
      logger.error({ model, policy, reason }, `the ACL cannot be used: ${effect}`);
    }
  };
  await load();
  return WatchedFiles.watch([files.model, files.policy], load);
}
