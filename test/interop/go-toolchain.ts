import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';

export const goExample = join(root, 'examples/go');
/** The Go of this machine or none: it must not download another one. */
export const goEnvironment = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' };

/** Why the example cannot run here; undefined: it can. Only what the machine lacks is a reason, not an example that does not compile. */
export function noGoBecause(): string | undefined {
  const options = { cwd: goExample, env: goEnvironment, encoding: 'utf8', timeout: 120_000 } as const;
  const download = spawnSync('go', ['mod', 'download'], options);
  if ((download.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return 'go is not installed';
  return download.status === 0 ? undefined : `go mod download: ${download.stderr.trim()}`;
}
