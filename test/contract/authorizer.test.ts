import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CasbinAuthorizer } from '../../src/adapters/acl/index.js';
import { MemoryAuthorizer } from '../../src/adapters/memory/memory-authorizer.js';
import { root } from '../foundation/checkout.js';
import { authorizerContract } from './authorizer.js';

authorizerContract('MemoryAuthorizer', async (rules) => {
  const authorizer = new MemoryAuthorizer(rules);
  return {
    authorizer,
    setRules: async (others) => {
      authorizer.setRules(others);
    },
  };
});

authorizerContract('CasbinAuthorizer', async (rules) => {
  const authorizer = new CasbinAuthorizer();
  const model = readFileSync(join(root, 'test/model.conf'), 'utf8');
  const setRules = (others: typeof rules): Promise<void> =>
    authorizer.replace({
      model,
      policy: others.map(({ subject, object, action }) => `p, ${subject}, ${object}, ${action}\n`).join(''),
    });
  await setRules(rules);
  return { authorizer, setRules };
});
