// Adds to package-lock.json the optional packages of other platforms that npm left out.
//
// npm writes an entry only for packages that its registry has, and a mirror may have the binaries of one platform only.
// With such a lockfile `npm ci` fails on every machine: the optional package is "missing from lock file". An entry that
// names its platform is enough for npm to skip it on the others.
// Run this script after `npm install` of a new package; test/foundation/package.test.ts fails when it is needed.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lockfile = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lockfile;

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];
const otherNames = { aarch64: 'arm64', armv6: 'arm', armv7: 'arm', ppc64le: 'ppc64' };

/** Derives the platform of a package from its name: "@swc/core-linux-arm64-gnu". */
function platformOf(name) {
  const words = name.split(/[/-]/).map((word) => otherNames[word] ?? word);
  const os = words.find((word) => systems.includes(word));
  const cpu = words.find((word) => processors.includes(word));
  if (os === undefined || cpu === undefined) throw new Error(`cannot tell the platform of ${name} from its name`);
  const abi = words.at(-1);
  const libc =
    os !== 'linux' ? undefined : abi.startsWith('musl') ? 'musl' : abi.startsWith('gnu') ? 'glibc' : undefined;
  return { cpu: [cpu], ...(libc !== undefined && { libc: [libc] }), os: [os] };
}

let added = 0;
for (const [path, { dev, optionalDependencies = {} }] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    if (packages[`${path}/node_modules/${name}`] ?? packages[`node_modules/${name}`]) continue;
    const version = range.replace(/^[~^]/, '');
    packages[`node_modules/${name}`] = { version, ...platformOf(name), ...(dev && { dev }), optional: true };
    added += 1;
  }
}

const byPath = ([a], [b]) => (a < b ? -1 : 1);
lockfile.packages = Object.fromEntries(Object.entries(packages).sort(byPath));
writeFileSync(file, JSON.stringify(lockfile, null, 2) + '\n');
console.log(`${added} packages of other platforms added to package-lock.json`);
