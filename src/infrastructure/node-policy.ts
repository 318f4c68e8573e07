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
      if (loaded) logger.info('acl_reloaded', { model, policy }, 'reloaded the ACL');
      else logger.info('acl_loaded', { model, policy }, 'loaded the ACL');
      loaded = true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (loaded)
        logger.error('acl_reload_failed', { model, policy, reason }, 'could not reload the ACL; keeping the last one');
      else logger.error('acl_load_failed', { model, policy, reason }, 'could not load the ACL; denying everything');
    }
  };
  await load();
  return WatchedFiles.watch([files.model, files.policy], load);
}
