import { describe, expect, it } from '@jest/globals';
import { readText } from './checkout.js';

interface Manifest {
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readText('package.json')) as Manifest;
const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, Locked> };
const all = { ...manifest.devDependencies, ...manifest.dependencies };

describe('package.json', () => {
  it('pins what the wire and the container depend on to one version', () => {
    const ranges = ['inversify', '@grpc/grpc-js', '@bufbuild/protobuf', '@connectrpc/connect'].map((name) => all[name]);
    expect(ranges.filter((range) => !/^\d+\.\d+\.\d+$/.test(range ?? ''))).toEqual([]);
  });

  it('keeps the pairs equal: connect with its transports, protobuf with its generator', () => {
    expect(all['@connectrpc/connect-node']).toBe(all['@connectrpc/connect']);
    expect(all['@connectrpc/connect-web']).toBe(all['@connectrpc/connect']);
    expect(all['@bufbuild/protoc-gen-es']).toBe(all['@bufbuild/protobuf']);
  });

  it('asks for the Node that scripts/prepare.sh asks for', () => {
    const needed = /^node_needed='(.+)'$/m.exec(readText('scripts/prepare.sh'))?.[1];
    expect(manifest.engines['node']).toBe(`>=${needed}`);
  });
});

describe('package-lock.json', () => {
  it('says what to install but not from where', () => {
    const entries = Object.entries(packages).filter(([path]) => path !== '');
    expect(entries.filter(([, locked]) => locked.resolved !== undefined).map(([path]) => path)).toEqual([]);
    const unchecked = entries.filter(([, { integrity, optional, os }]) => integrity === undefined && !(optional && os));
    expect(unchecked.map(([path]) => path)).toEqual([]);
  });

  it('knows the packages of every platform, else npm ci fails: node scripts/complete-lockfile.js', () => {
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !(`${path}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages),
      ),
    );
    expect(missing).toEqual([]);
  });

  it('needs no install script: these have one and were tried without it', () => {
    const scripted = Object.entries(packages).filter(([, locked]) => locked.hasInstallScript === true);
    // buf, esbuild and swc ship their binaries as optional packages, watcher as well; protobufjs only checks a version range;
    // fsevents is an optional package of macOS with its binary inside.
    const triedWithout = ['@bufbuild/buf', '@parcel/watcher', '@swc/core', 'esbuild', 'fsevents', 'protobufjs'];
    const names = scripted.map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(names.filter((name) => !triedWithout.includes(name))).toEqual([]);
  });
});
