// `golog serve` as it ships, but with shorter deadlines, and with an account of itself: a line on its standard input is
// answered by one of JSON. Its arguments: the limits as JSON, then a whole command line (`node golog serve --flag …`).
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setInterval } from 'node:timers';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const dist = new globalThis.URL('../../dist/', import.meta.url).href;
const { resolveConfig } = await import(`${dist}infrastructure/config.js`);
const { createContainer } = await import(`${dist}infrastructure/container.js`);
const { ListenerLimits } = await import(`${dist}infrastructure/tokens.js`);
const { serve } = await import(`${dist}infrastructure/serve.js`);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
const loop = monitorEventLoopDelay({ resolution: 5 });
loop.enable();
// How long the processor worked for the main thread between two turns of a timer, which other processes do not change.
const workedMs = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
let workedUntilMs = workedMs();
let loopWorkMaxMs = 0;
setInterval(() => {
  const nowMs = workedMs();
  loopWorkMaxMs = Math.max(loopWorkMaxMs, nowMs - workedUntilMs);
  workedUntilMs = nowMs;
}, 5).unref();
createInterface({ input: process.stdin }).on('line', () => {
  const loopDelayMaxMs = loop.max / 1e6;
  const account = { loopDelayMaxMs, loopWorkMaxMs };
  collectGarbage();
  loop.reset();
  [loopWorkMaxMs, workedUntilMs] = [0, workedMs()];
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(JSON.stringify({ ...account, residentBytes: rss, liveBytes: heapUsed + external }));
});

// What waits for a question does not keep the process up.
process.stdin.unref();
const [limits, ...command] = process.argv.slice(2);
const flags = command.slice(command.indexOf('serve') + 1);
const given = new Map();
for (let at = 0; at < flags.length; at += 2) given.set(flags[at].slice('--'.length), flags[at + 1]);
const config = resolveConfig(given, {}, undefined);
const container = createContainer(config);
container.rebind(ListenerLimits).toConstantValue(JSON.parse(limits));
process.exitCode = await serve(config, container);
