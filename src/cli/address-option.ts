import { Option } from 'commander';
import { parseAddress } from './option-values.js';

/** Where the server's gRPC is, for every command that talks to one. */
export function addressOption(): Option {
  return new Option('--addr <HOST:PORT>', 'gRPC address of a server').argParser(parseAddress).default('127.0.0.1:8400');
}

/** Servers of one cluster, for the commands that any of its members can serve. */
export function addressesOption(): Option {
  return new Option('--addr <HOST:PORT,…>', 'gRPC addresses of servers, tried in turn')
    .argParser((text: string) => text.split(',').map(parseAddress))
    .default(['127.0.0.1:8400'], '127.0.0.1:8400');
}
