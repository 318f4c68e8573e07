import { didYouMean } from './did-you-mean.js';

/** Variables of the commands that are clients. */
export const clientVariables = [
  'GOLOG_ADDR',
  'GOLOG_CONTEXT',
  'GOLOG_TLS_CA_FILE',
  'GOLOG_TLS_CERT_FILE',
  'GOLOG_TLS_KEY_FILE',
];

/** Variables that Kubernetes sets in every pod for each Service of its namespace: for one named `golog`, or `golog-…`. */
const serviceVariables = /^GOLOG_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const servicePort = { name: /^GOLOG_(\w+_)?PORT$/, value: /^(tcp|udp|sctp):\/\//i };

/** Whether it is such a variable. A Service `golog-http` sets GOLOG_HTTP_PORT, which is also the name of an option. */
export function isOfService(name: string, value: string | undefined): boolean {
  return serviceVariables.test(name) || (servicePort.name.test(name) && servicePort.value.test(value ?? ''));
}

/** Names that only a client could mean. */
const prefixes = ['GOLOG_TLS_', 'GOLOG_ADDR', 'GOLOG_CONTEXT'];
const typosMax = 2;

/** Returns a line for each variable that a client passes over although it is nearly one of its own. */
export function misspelledVariables(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (!name.startsWith('GOLOG_') || clientVariables.includes(name) || isOfService(name, value)) return [];
    const isMeant = prefixes.some((prefix) => name.startsWith(prefix));
    const hint = didYouMean(name, clientVariables, isMeant ? undefined : typosMax);
    return isMeant || hint !== '' ? [`there is no variable ${name}, it is passed over${hint}`] : [];
  });
}
