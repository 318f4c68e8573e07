/**
 * Which layer may import which: the table of docs/architecture.md as an allow-list. Whatever no `allowed` rule matches
 * is an error. `test/foundation/layers.test.ts` checks that each rule rejects what it should.
 */

/** The libraries each adapter is an adapter to. A new adapter starts with no library at all. */
const adapterLibraries = {
  checksum: ['@node-rs/crc32'],
  'file-system': ['fs-native-extensions'],
  grpc: ['@grpc/grpc-js', '@grpc/reflection', 'grpc-health-check', '@bufbuild/protobuf'],
  http: ['@connectrpc/connect', '@connectrpc/connect-node', '@bufbuild/protobuf', 'zod'],
  peer: ['@grpc/grpc-js', '@bufbuild/protobuf'],
  wire: ['@bufbuild/protobuf'],
  acl: ['casbin'],
  tls: ['@peculiar/x509'],
};

/** What the two listeners of clients share. They import no other adapter, and only those two import them. */
const sharedAdapters = ['listener', 'wire'];

const clientLibraries = [
  '@bufbuild/protobuf',
  '@connectrpc/connect',
  '@connectrpc/connect-node',
  '@connectrpc/connect-web',
  '@grpc/grpc-js',
];
const cliLibraries = ['commander', 'cli-progress', 'cli-table3', '@bufbuild/protobuf'];

const notTest = '\\.test\\.tsx?$';
/** Paths of a library: as resolved on disk, or by its bare name where it is not installed. */
const library = (name) => `(^|/)(node_modules/)?${name.replace(/[.]/g, '\\.')}(/|$)`;
/** A rule: files of the layer, other than its tests, may import `to`. */
const layer = (path, to) => ({ from: { path: `^${path}`, pathNot: notTest }, to });
const outside = { dependencyTypes: ['core'] };

/**
 * The folders of src/application, by level, level 1 first: a folder imports those of levels with a higher number, and
 * none of its own level. The files beside the folders belong to the level of `services`.
 */
const applicationLevels = [
  ['node'],
  ['replica'],
  ['repair', 'cluster'],
  ['raft'],
  ['storage', 'join', 'vouching'],
  ['services', 'access', 'waiting', 'time'],
  ['ports'],
  ['configuration', 'errors'],
];
const applicationPaths = {
  services: '^src/application/(commit-log-service|error-status|shared-reads|startup-gate)\\.ts$',
  errors: '^src/application/errors\\.ts$',
};
const applicationPath = (folder) => applicationPaths[folder] ?? `^src/application/${folder}/`;
const applicationRules = applicationLevels.flatMap((folders, level) =>
  folders.map((folder) => ({
    from: { path: applicationPath(folder), pathNot: notTest },
    to: {
      path: [
        '^src/domain/',
        applicationPath(folder),
        ...applicationLevels
          .slice(level + 1)
          .flat()
          .map(applicationPath),
      ],
    },
  })),
);

const adapterRules = Object.entries(adapterLibraries).map(([name, libraries]) =>
  layer(`src/adapters/${name}/`, { path: libraries.map(library) }),
);

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Modules that need each other are one module, or one of them has the wrong place.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-test-code-in-product',
      comment: 'Nothing that ships leans on a test, a bench or a script.',
      severity: 'error',
      from: { path: '^src/', pathNot: notTest },
      to: { path: ['^(test|bench|scripts)/', notTest] },
    },
    {
      name: 'no-dev-dependency-in-product',
      comment: 'What ships must install with `npm ci --omit=dev`.',
      severity: 'error',
      from: { path: '^src/', pathNot: notTest },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-undeclared-dependency',
      comment: 'A package that package.json does not list, or a file that is not there.',
      severity: 'error',
      from: { path: '^(src|test|bench)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    {
      name: 'container-in-infrastructure-only',
      comment: 'Decorators and the container are composition; everything else is built with plain constructors.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/infrastructure/', notTest] },
      to: { path: [library('inversify'), library('reflect-metadata')] },
    },
  ],
  allowedSeverity: 'error',
  allowed: [
    layer('src/gen/', { path: ['^src/gen/', library('@bufbuild/protobuf')] }),

    layer('src/domain/', { path: '^src/domain/' }),

    ...applicationRules,

    // An adapter: the inner layers, the generated code, Node itself, its own folder, its own library; no sibling, except
    // that the two listeners import what they share.
    layer('src/adapters/', { path: ['^src/domain/', '^src/application/', '^src/gen/'] }),
    layer('src/adapters/', outside),
    { from: { path: '^src/adapters/([^/]+)/', pathNot: notTest }, to: { path: '^src/adapters/$1/' } },
    ...adapterRules,
    layer('src/adapters/(grpc|http)/', { path: sharedAdapters.map((name) => `^src/adapters/${name}/`) }),

    layer('src/client/', { path: ['^src/client/', '^src/gen/', ...clientLibraries.map(library)] }),
    layer('src/client/', outside),

    layer('src/cli/', { path: ['^src/(cli|client|infrastructure|gen)/', ...cliLibraries.map(library)] }),
    layer('src/cli/', outside),

    // Composition sees everything but the command that sits on top of it.
    layer('src/(infrastructure/|index\\.ts$)', { pathNot: ['^src/cli/', '^(test|bench)/'] }),

    // Tests, benches and build configuration see everything.
    { from: { path: ['^(test|bench|scripts)/', notTest] }, to: {} },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    moduleSystems: ['es6', 'cjs'],
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
