// Puts what each command loads into few files, dist/bundle/golog.js first: to open and link a thousand modules takes Node
// most of a second. `src` is compiled by tsc before; the library's entry points stay as that made them.
import { readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

/** These look for files of their own beside themselves: native code, and descriptions of services. */
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

// Names carry hashes of what is in them. What an earlier build left goes last, so that no start finds a gap.
for (const name of readdirSync('dist/bundle')) {
  const path = `dist/bundle/${name}`;
  if (!(path in metafile.outputs)) rmSync(path);
}
