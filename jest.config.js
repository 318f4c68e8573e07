/** Jest in ESM mode with swc; run it through `npm test`, which sets the node flag that ESM mode needs. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  // `npm run test:long` runs these.
  testPathIgnorePatterns: ['/node_modules/', ...(process.env.TEST_LONG === 'on' ? [] : ['<rootDir>/test/long/'])],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  // A busy machine is not a failure; a test that waits for good still ends.
  testTimeout: 60_000,
  // Jest's ESM mode holds on to memory: recycle workers.
  workerIdleMemoryLimit: '512MB',
};
