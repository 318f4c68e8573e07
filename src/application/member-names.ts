import { InvalidInputError } from '../domain/log/errors.js';

/** A member's name from outside: what `--node-name` takes. @throws InvalidInputError */
export function memberNameOrThrow(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  throw new InvalidInputError(
    `${JSON.stringify(name.slice(0, 128))} is no member name: expected 1 to 128 of letters, digits, dot, dash, underscore; first a letter or digit`,
  );
}

/** Where a member's gRPC is to be reached, from outside. @throws InvalidInputError */
export function rpcAddrOrThrow(address: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(address)?.[1]);
  if (port >= 1 && port <= 65_535) return address;
  throw new InvalidInputError(`${JSON.stringify(address.slice(0, 256))} is no address: expected HOST:PORT`);
}
