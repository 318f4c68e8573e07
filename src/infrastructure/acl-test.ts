import { CasbinAuthorizer } from '../adapters/acl/index.js';
import { decideAction } from '../application/access/access.js';
import { type Action, actions, type Decision } from '../application/ports/authorizer.js';
import type { PolicyFiles } from './node-policy.js';
import { readTexts } from './watched-files.js';

/** Decides by the policy in the files. Rejects with `InvalidPolicyError`, or when a file cannot be read. */
export async function testPolicy(
  files: PolicyFiles,
  request: { readonly subject: string; readonly action: Action; readonly object: string },
): Promise<Decision> {
  const authorizer = new CasbinAuthorizer();
  const { model, policy } = files;
  await authorizer.replace(await readTexts({ model, policy }));
  return decideAction(authorizer, request.subject, request.action, request.object);
}

export function isAction(text: string): text is Action {
  return (actions as readonly string[]).includes(text);
}

export { actions };
