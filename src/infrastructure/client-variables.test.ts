import { expect, it } from '@jest/globals';
import { misspelledVariables } from './client-variables.js';

it.each([
  ['GOLOG_ADRR', '; did you mean GOLOG_ADDR?'],
  ['GOLOG_ADDRS', '; did you mean GOLOG_ADDR?'],
  ['GOLOG_TLS_CERT', ''],
  ['GOLOG_TLS_CA_FIEL', '; did you mean GOLOG_TLS_CA_FILE?'],
  ['GOLOG_CONTXT', '; did you mean GOLOG_CONTEXT?'],
])('a client says that it passes over %s', (name, hint) => {
  expect(misspelledVariables({ [name]: 'x' })).toEqual([expect.stringMatching(new RegExp(`${name}.*passed over`))]);
  if (hint !== '') expect(misspelledVariables({ [name]: 'x' })[0]).toContain(hint);
});

it('a client says nothing about its own variables, those of a server, and those of a Service', () => {
  const environment = {
    GOLOG_ADDR: 'a:1',
    GOLOG_TLS_CA_FILE: 'ca.pem',
    GOLOG_HTTP_PORT: '4001',
    GOLOG_DATA_DIR: 'd',
    GOLOG_BIND_ADDR: 'b:1',
    GOLOG_ADDR_SERVICE_HOST: '10.0.0.1',
    PATH: '/bin',
  };
  expect(misspelledVariables(environment)).toEqual([]);
});
