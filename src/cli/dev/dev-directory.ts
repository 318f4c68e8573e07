import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { makeDirectory } from '../../infrastructure/directories.js';
import { advertisedAddr, type Config, resolveConfig } from '../../infrastructure/config.js';

/** The addresses and files of a node of a local cluster. */
export interface DevNodeSpec {
  readonly name: string;
  readonly rpcAddr: string;
  readonly httpAddr: string;
  /** The file for `golog serve --config-file`; written once, then left to the user. */
  readonly configFile: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** The cluster that the flags ask for; undefined stands for what the directory has, or else the default. */
export interface RequestedCluster {
  readonly nodes: number | undefined;
  /** The port of n1; the port of each further node is 10 higher. 0 picks free ports. */
  readonly rpcPort: number | undefined;
  readonly httpPort: number | undefined;
}

const defaults = { nodes: 3, rpcPort: 8400, httpPort: 4001 };
const portsApart = 10;
const host = '127.0.0.1';
const ownFile = /^n\d+(\.yaml|\.log)?$/;
const firstConfigFile = 'n1.yaml';

/** Removes the files of nodes from the directory, and nothing else. */
export function resetDirectory(directory: string): void {
  if (!existsSync(directory)) return;
  const names = readdirSync(directory).filter((name) => ownFile.test(name));
  for (const name of names) rmSync(join(directory, name), { recursive: true });
}

/**
 * Returns the nodes of the cluster in the directory; writes the configuration of a new cluster if there is none.
 *
 * @throws InvalidArgumentError when the directory contains a cluster other than the requested one
 */
export async function nodesIn(directory: string, requested: RequestedCluster): Promise<readonly DevNodeSpec[]> {
  await makeDirectory(directory);
  if (!existsSync(join(directory, firstConfigFile))) await writeConfigFiles(directory, requested);
  const count = readdirSync(directory).filter((name) => /^n\d+\.yaml$/.test(name)).length;
  const nodes = Array.from({ length: count }, (_, i) => nodeIn(directory, `n${i + 1}`));
  assertMatches(directory, nodes, requested);
  return nodes;
}

/**
 * Whether n1 must bootstrap the cluster. It must not when only its own data was removed: that would start a second
 * cluster. Creates the data directory of n1 when it must.
 */
export function shouldBootstrap([first, ...others]: readonly DevNodeSpec[]): boolean {
  if (others.some(({ dataDir }) => existsSync(dataDir)) && !existsSync(first.dataDir)) return false;
  mkdirSync(first.dataDir, { recursive: true });
  return true;
}

/** Writes n1 last, so that an interrupted run is repeated. */
async function writeConfigFiles(directory: string, requested: RequestedCluster): Promise<void> {
  const { nodes, rpcPort, httpPort } = { ...defaults, ...given(requested) };
  const rpcPorts = await ports(rpcPort, nodes);
  const httpPorts = await ports(httpPort, nodes, rpcPorts);
  const gossipPorts = await ports(rpcPort === 0 ? 0 : rpcPort + 1, nodes, [...rpcPorts, ...httpPorts]);
  for (let i = nodes - 1; i >= 0; i--) {
    const others = gossipPorts.filter((_, other) => other !== i).map((port) => `${host}:${port}`);
    const lines = [
      `# Written by golog dev; you can add other options of golog serve.`,
      `node-name: n${i + 1}`,
      `rpc-port: ${rpcPorts[i]}`,
      `http-port: ${httpPorts[i]}`,
      `bind-addr: ${host}:${gossipPorts[i]}`,
      ...(others.length > 0 ? ['start-join-addrs:', ...others.map((address) => `  - ${address}`)] : []),
    ];
    writeFileSync(join(directory, `n${i + 1}.yaml`), `${lines.join('\n')}\n`);
  }
}

function nodeIn(directory: string, name: string): DevNodeSpec {
  const [configFile, dataDir] = [join(directory, `${name}.yaml`), join(directory, name)];
  const config: Config = resolveConfig(new Map(), {}, configFile);
  return {
    name,
    rpcAddr: advertisedAddr(config, config['rpc-port']),
    httpAddr: `${config['http-addr']}:${config['http-port']}`,
    configFile,
    dataDir,
    logFile: join(directory, `${name}.log`),
  };
}

function assertMatches(directory: string, nodes: readonly DevNodeSpec[], requested: RequestedCluster): void {
  const [first] = nodes;
  const has = { nodes: nodes.length, rpcPort: portOf(first.rpcAddr), httpPort: portOf(first.httpAddr) };
  const differs = (name: keyof RequestedCluster): boolean =>
    requested[name] !== undefined && requested[name] !== has[name];
  if (
    differs('nodes') ||
    (requested.rpcPort !== 0 && differs('rpcPort')) ||
    (requested.httpPort !== 0 && differs('httpPort'))
  )
    throw new InvalidArgumentError(
      `${directory} contains a cluster of ${has.nodes} whose n1 has gRPC port ${has.rpcPort} and HTTP port ` +
        `${has.httpPort}: omit the flags to restart it, give another --dir, or give --reset to replace it.`,
    );
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

function given(requested: RequestedCluster): Partial<typeof defaults> {
  return Object.fromEntries(Object.entries(requested).filter(([, value]) => value !== undefined));
}

/** Picks ports. All sockets stay open until the last port is known, so that no port is picked twice. */
async function ports(first: number, count: number, taken: readonly number[] = []): Promise<number[]> {
  if (first > 0) return Array.from({ length: count }, (_, i) => first + i * portsApart);
  const servers: Server[] = [];
  const found: number[] = [];
  while (found.length < count) {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const address = server.address();
    if (address !== null && typeof address === 'object' && !taken.includes(address.port)) found.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}
