import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of the package. The bundle is as deep as this file, so the same relative path works from both. */
const root = new URL('../../', import.meta.url);

/** The path of the `golog` command. */
export const launcherPath = fileURLToPath(new URL('bin/golog', root));

/** Returns the version of golog from package.json. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string };
  return version;
}
