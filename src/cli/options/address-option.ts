import { Option } from 'commander';
import { parseAddress } from './option-values.js';

/** The option for the servers of one cluster, for commands that any member can serve. */
export function addressesOption(): Option {
  return new Option('--addr <HOST:PORT,…>', 'gRPC addresses of servers of one cluster, tried in turn')
    .env('GOLOG_ADDR')
    .argParser((text: string) => text.split(',').map((address) => parseAddress(address.trim())))
    .default(['127.0.0.1:8400'], '127.0.0.1:8400');
}
