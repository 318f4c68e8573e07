// `golog serve` as it ships, but with shorter deadlines, and with an account of itself: a line on its standard input is
// answered by one of JSON. Its arguments: the limits as JSON, then a whole command line (`node golog serve --flag …`).
import { openSync, readSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
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

// The time of the processor that the main thread takes for one turn of the event loop, timer to timer, and so for any
// handler in it. Unlike the loop's delay it does not grow while the machine runs something else.
const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`);
const schedstatBytes = new Uint8Array(64);
const decoder = new globalThis.TextDecoder();
const threadCpuMs = () => {
  const length = readSync(schedstat, schedstatBytes, 0, schedstatBytes.length, 0);
  return Number(decoder.decode(schedstatBytes.subarray(0, length)).split(' ', 1)[0]) / 1e6;
};
let turnBeganMs = threadCpuMs();
let turnCpuMaxMs = 0;
const look = () => {
  const nowMs = threadCpuMs();
  turnCpuMaxMs = Math.max(turnCpuMaxMs, nowMs - turnBeganMs);
  turnBeganMs = nowMs;
};
globalThis.setInterval(look, 1).unref();

createInterface({ input: process.stdin }).on('line', () => {
  look();
  const account = { loopDelayMaxMs: loop.max / 1e6, turnCpuMaxMs };
  collectGarbage();
  loop.reset();
  look();
  turnCpuMaxMs = 0;
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
