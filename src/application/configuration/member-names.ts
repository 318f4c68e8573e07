import { InvalidInputError } from '../../domain/log/errors.js';

/** What `--node-name` takes. */
export function isMemberName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

/** HOST:PORT that could be dialled. */
export function isRpcAddr(address: string): boolean {
  const port = Number(/^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(address)?.[1]);
  return port >= 1 && port <= 65_535;
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** A member's name from outside. @throws InvalidInputError */
export function memberNameOrThrow(name: string): string {
  if (isMemberName(name)) return name;
  throw new InvalidInputError(
    `${JSON.stringify(name.slice(0, 128))} is no member name: expected 1 to 128 of letters, digits, dot, dash, underscore; first a letter or digit`,
  );
}

/** Where a member's gRPC is to be reached, from outside. @throws InvalidInputError */
export function rpcAddrOrThrow(address: string): string {
  if (isRpcAddr(address)) return address;
  throw new InvalidInputError(`${JSON.stringify(address.slice(0, 256))} is no address: expected HOST:PORT`);
}

/** The log id as a UUID. */
export function describeClusterId(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
