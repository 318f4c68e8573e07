import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';

/** The last commit without vouching, settings, feature levels and generations. */
const commit = '4dd9b3183d5bb722e42906c63de131c8287a62af';

function git(...args: string[]): ReturnType<typeof spawnSync> {
  return spawnSync('git', ['-C', root, ...args], { encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 });
}

/** Why the earlier release cannot be built here; undefined: it can. */
export function noEarlierReleaseBecause(): string | undefined {
  const { error, status } = git('cat-file', '-e', `${commit}^{commit}`);
  if (error !== undefined) return 'no git';
  return status === 0 ? undefined : `this checkout lacks commit ${commit.slice(0, 7)}, as a shallow clone does`;
}

/** Builds the earlier release in the folder; returns the path of its launcher. */
export function buildEarlierRelease(folder: string): string {
  const archive = git('archive', commit);
  const unpacked = spawnSync('tar', ['-x', '-C', folder], { input: archive.stdout });
  if (archive.status !== 0 || unpacked.status !== 0)
    throw new Error(`cannot unpack ${commit}: ${archive.stderr.toString()}`);
  // With other dependencies than ours it installs its own.
  const [wanted, installed] = [join(folder, 'package-lock.json'), join(root, 'node_modules/.golog-package-lock.json')];
  if (existsSync(installed) && readFileSync(wanted).equals(readFileSync(installed)))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const built = spawnSync(join(folder, 'scripts/prepare.sh'), ['build'], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`cannot build ${commit}: ${built.stderr}${built.stdout}`);
  return join(folder, 'bin/golog');
}
