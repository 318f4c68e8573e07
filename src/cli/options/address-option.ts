import { Option } from 'commander';
import { parseAddress } from './option-values.js';

/** Servers of one cluster, for the commands that any of its members can serve. */
export function addressesOption(): Option {
  return new Option('--addr <HOST:PORT,…>', 'gRPC addresses of servers, tried in turn')
    .argParser((text: string) => text.split(',').map(parseAddress))
    .default(['127.0.0.1:8400'], '127.0.0.1:8400');
}
