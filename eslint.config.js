import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const wildName = (object, property, message) => ({ object, property, message });

const worldMessage = 'Time, randomness, files and sockets live in adapters and infrastructure; take a port.';
const worldGlobals = [
  'process',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'performance',
  'crypto',
  'fetch',
  'console',
].map((name) => ({ name, message: worldMessage }));

const ambientNames = [
  wildName('process', 'env', 'Configuration is read in src/infrastructure and handed on.'),
  wildName('process', 'on', 'Signals and process events are handled in src/infrastructure.'),
  wildName('process', 'once', 'Signals and process events are handled in src/infrastructure.'),
  wildName('process', 'exit', 'Only the command and infrastructure end the process.'),
];
const wallClock = wildName(
  'Date',
  'now',
  'The wall clock jumps: measure durations with `Clock.now()` or performance.now(), or ask `Clock.wallClockMs()`.',
);
/** These talk to code that thinks in wall-clock times: deadlines of grpc-js, validity of certificates, the command line. */
const readsWallClock = [
  'src/adapters/clock/**',
  'src/adapters/grpc/call-signal.ts',
  'src/adapters/peer/ask.ts',
  'src/adapters/peer/remote-cluster.ts',
  'src/adapters/tls/certificate-authority.ts',
  'src/adapters/tls/certified-connections.ts',
  'src/client/cluster-client.ts',
  'src/client/log-client.ts',
  'src/client/servers-in-turn.ts',
];
const commandReadsWallClock = ['src/cli/consume-command.ts', 'src/infrastructure/node-tls.ts'];

const everywhereSyntax = [
  { selector: 'ExportDefaultDeclaration', message: 'Name what you export.' },
  {
    selector: "TSAsExpression > TSAsExpression.expression[typeAnnotation.type='TSUnknownKeyword']",
    message: '`as unknown as` switches the type checker off: parse, narrow or fix the type.',
  },
];

export default tseslint.config(
  { ignores: ['dist/', 'src/gen/', 'coverage/', 'node_modules/', 'golog-data/', 'golog-dev/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,

  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/consistent-type-exports': 'error',
      // An aborted call throws its signal's reason, which is typed any.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^I[A-Z][a-z]', match: false } },
      ],
      // An implementation of an asynchronous port may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // A port, its token and a union of values share one name, as the style asks.
      '@typescript-eslint/no-redeclare': 'off',
      eqeqeq: 'error',
      'no-constant-condition': ['error', { checkLoops: 'allExceptWhileTrue' }],
      'no-restricted-syntax': ['error', ...everywhereSyntax],
    },
  },

  {
    files: ['src/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error', ...ambientNames, wallClock],
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'node:process', message: 'Configuration and signals come from src/infrastructure.' }] },
      ],
    },
  },
  {
    files: ['src/infrastructure/**/*.ts', 'src/cli/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-properties': ['error', wallClock], 'no-restricted-imports': 'off' },
  },
  { files: readsWallClock, rules: { 'no-restricted-properties': ['error', ...ambientNames] } },
  { files: commandReadsWallClock, rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['src/domain/**/*.ts', 'src/application/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': ['error', ...worldGlobals],
      'no-restricted-properties': [
        'error',
        wildName('Date', 'now', worldMessage),
        wildName('Math', 'random', worldMessage),
        wildName('AbortSignal', 'timeout', worldMessage),
        wildName('globalThis', 'process', worldMessage),
      ],
      'no-restricted-syntax': [
        'error',
        ...everywhereSyntax,
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: worldMessage },
        { selector: 'Decorator', message: 'Plain constructors; the container binds them with factories.' },
      ],
    },
  },
  {
    files: ['src/domain/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...worldGlobals,
        { name: 'Buffer', message: 'The domain runs where there is no Node: Uint8Array and DataView.' },
      ],
    },
  },

  {
    files: ['**/*.test.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // expect(object.method) is how a mock is asked.
      '@typescript-eslint/unbound-method': 'off',
      // Matchers of jest are typed loosely.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },

  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        performance: 'readonly',
      },
    },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: { sourceType: 'commonjs', globals: { module: 'writable', require: 'readonly' } },
  },
);
