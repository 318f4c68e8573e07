import { InvalidInputError } from '../../domain/log/errors.js';

/** Whether `--node-name` accepts the name. */
export function isMemberName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

/** Whether the text is a HOST:PORT that can be dialed. */
export function isRpcAddr(address: string): boolean {
  const port = Number(/^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(address)?.[1]);
  return port >= 1 && port <= 65_535;
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** Returns the member name. @throws InvalidInputError */
export function memberNameOrThrow(name: string): string {
  if (isMemberName(name)) return name;
  throw new InvalidInputError(
    `${JSON.stringify(name.slice(0, 128))} is not a valid member name: expected 1 to 128 letters, digits, dots, dashes or underscores, starting with a letter or digit`,
  );
}

/** Returns the address of a member's gRPC service. @throws InvalidInputError */
export function rpcAddrOrThrow(address: string): string {
  if (isRpcAddr(address)) return address;
  throw new InvalidInputError(`${JSON.stringify(address.slice(0, 256))} is not a valid address: expected HOST:PORT`);
}

/** Returns the log id that a UUID shows. */
export function parseClusterId(uuid: string): Uint8Array {
  return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** Returns the log id as a UUID. */
export function describeClusterId(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
