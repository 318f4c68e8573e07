import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { advertisedAddr, type Config, resolveConfig } from '../../infrastructure/config.js';

/** A node of a local cluster: where it listens, and what of it lies in the cluster's directory. */
export interface DevNodePlace {
  readonly name: string;
  readonly rpcAddr: string;
  readonly httpAddr: string;
  /** For `golog serve --config-file`; written once, the user's from then on. */
  readonly configFile: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** What was asked for; undefined is the default, or what the directory already says. */
export interface DevWishes {
  readonly nodes: number | undefined;
  /** Of n1; each further node is 10 above. 0 takes free ones. */
  readonly rpcPort: number | undefined;
  readonly httpPort: number | undefined;
}

const defaults = { nodes: 3, rpcPort: 8400, httpPort: 4001 };
const portsApart = 10;
const host = '127.0.0.1';
const ownFile = /^n\d+(\.yaml|\.log)?$/;
const firstConfigFile = 'n1.yaml';

/** Removes what nodes have left in the directory, and nothing else. */
export function resetDirectory(directory: string): void {
  if (!existsSync(directory)) return;
  const names = readdirSync(directory).filter((name) => ownFile.test(name));
  for (const name of names) rmSync(join(directory, name), { recursive: true });
}

/**
 * The nodes of the cluster that the directory holds, or of a new one, whose configuration is then written.
 *
 * @throws InvalidArgumentError when the directory holds another cluster than the one that is wished for
 */
export async function nodesIn(directory: string, wishes: DevWishes): Promise<readonly DevNodePlace[]> {
  mkdirSync(directory, { recursive: true });
  if (!existsSync(join(directory, firstConfigFile))) await plan(directory, wishes);
  const count = readdirSync(directory).filter((name) => /^n\d+\.yaml$/.test(name)).length;
  const nodes = Array.from({ length: count }, (_, place) => nodeIn(directory, `n${place + 1}`));
  assertAsWished(directory, nodes, wishes);
  return nodes;
}

/**
 * Whether n1 shall begin the cluster: not when it was wiped while the others were not, else there would be two. Its
 * data directory is there from then on.
 */
export function isToBootstrap([first, ...others]: readonly DevNodePlace[]): boolean {
  if (others.some(({ dataDir }) => existsSync(dataDir)) && !existsSync(first.dataDir)) return false;
  mkdirSync(first.dataDir, { recursive: true });
  return true;
}

/** n1 comes last: a plan that was cut short is made anew. */
async function plan(directory: string, wishes: DevWishes): Promise<void> {
  const { nodes, rpcPort, httpPort } = { ...defaults, ...given(wishes) };
  const rpcPorts = await ports(rpcPort, nodes);
  const httpPorts = await ports(httpPort, nodes, rpcPorts);
  const gossipPorts = await ports(rpcPort === 0 ? 0 : rpcPort + 1, nodes, [...rpcPorts, ...httpPorts]);
  for (let place = nodes - 1; place >= 0; place--) {
    const others = gossipPorts.filter((_, other) => other !== place).map((port) => `${host}:${port}`);
    const lines = [
      `# Of golog dev; further options of golog serve may be added.`,
      `node-name: n${place + 1}`,
      `rpc-port: ${rpcPorts[place]}`,
      `http-port: ${httpPorts[place]}`,
      `bind-addr: ${host}:${gossipPorts[place]}`,
      ...(others.length > 0 ? ['start-join-addrs:', ...others.map((address) => `  - ${address}`)] : []),
    ];
    writeFileSync(join(directory, `n${place + 1}.yaml`), `${lines.join('\n')}\n`);
  }
}

function nodeIn(directory: string, name: string): DevNodePlace {
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

function assertAsWished(directory: string, nodes: readonly DevNodePlace[], wishes: DevWishes): void {
  const [first] = nodes;
  const has = { nodes: nodes.length, rpcPort: portOf(first.rpcAddr), httpPort: portOf(first.httpAddr) };
  const differs = (wish: keyof DevWishes): boolean => wishes[wish] !== undefined && wishes[wish] !== has[wish];
  if (
    differs('nodes') ||
    (wishes.rpcPort !== 0 && differs('rpcPort')) ||
    (wishes.httpPort !== 0 && differs('httpPort'))
  )
    throw new InvalidArgumentError(
      `${directory} holds a cluster of ${has.nodes} whose n1 has the gRPC port ${has.rpcPort} and the HTTP port ` +
        `${has.httpPort}: leave the flags out to go on with it, give another --dir, or --reset to begin anew.`,
    );
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

function given(wishes: DevWishes): Partial<typeof defaults> {
  return Object.fromEntries(Object.entries(wishes).filter(([, value]) => value !== undefined));
}

/** All are held until the last is known, so that none comes twice. */
async function ports(first: number, count: number, taken: readonly number[] = []): Promise<number[]> {
  if (first > 0) return Array.from({ length: count }, (_, place) => first + place * portsApart);
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
