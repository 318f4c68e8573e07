// Bundles what each command loads into a few files, starting with dist/bundle/golog.js: opening and linking a thousand
// modules takes Node most of a second. tsc compiles `src` before; the entry points of the library are not bundled.
import { readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

/** Packages that load files next to their own: native code, and service descriptions. */
const external = ['@grpc/grpc-js', '@grpc/reflection', '@node-rs/crc32', 'fs-native-extensions', 'grpc-health-check'];

const { metafile } = await build({
  entryPoints: { golog: 'dist/cli/main.js' },
  // As deep as src/infrastructure/package-files.ts, which finds package.json and bin from where it is.
  outdir: 'dist/bundle',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external,
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  sourcemap: true,
  legalComments: 'linked',
  metafile: true,
  logLevel: 'warning',
});

// File names contain content hashes. Files of an earlier build are removed last, so that a start always finds its files.
for (const name of readdirSync('dist/bundle')) {
  const path = `dist/bundle/${name}`;
  if (!(path in metafile.outputs)) rmSync(path);
}
