// `golog serve` as it ships, but with shorter deadlines, and with an account of itself: a line on its standard input is
// answered by one of JSON. Its arguments: the limits as JSON, then a whole command line (`node golog serve --flag …`).
import { createHook } from 'node:async_hooks';
import { openSync, readSync } from 'node:fs';
import { performance, PerformanceObserver } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const dist = new globalThis.URL('../../dist/', import.meta.url).href;
const { resolveConfig } = await import(`${dist}infrastructure/config.js`);
const { createContainer } = await import(`${dist}infrastructure/container.js`);
const { ListenerLimits } = await import(`${dist}infrastructure/tokens.js`);
const { serve } = await import(`${dist}infrastructure/serve.js`);
const { LoopWatch } = await import(`${dist}adapters/clock/loop-watch.js`);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
const loop = new LoopWatch();

// The time of the processor that the main thread takes for one turn of the event loop, timer to timer, and so for any
// handler in it. Unlike the loop's delay it does not grow while the machine runs something else. Collections of garbage,
// which may come in any handler and are no work of it, are taken off: they are told by the clock, so the share of it in
// which the thread waited for a processor is not.
const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`);
const schedstatBytes = new Uint8Array(64);
const decoder = new globalThis.TextDecoder();
/** What the main thread has had of a processor, and waited for one, so far. */
const readThread = (nowMs) => {
  const length = readSync(schedstat, schedstatBytes, 0, schedstatBytes.length, 0);
  const [cpuMs, waitMs] = decoder
    .decode(schedstatBytes.subarray(0, length))
    .split(' ')
    .map((ns) => Number(ns) / 1e6);
  return { nowMs, cpuMs, waitMs };
};
const longTurnMs = 20;
let collections = [];
const collecting = new PerformanceObserver((list) => collections.push(...list.getEntries()));
collecting.observe({ entryTypes: ['gc'] });

/** Notes what took long from one reading to the next. */
class Watch {
  long = [];
  last = readThread(performance.now());

  read(nowMs) {
    const { last } = this;
    this.last = readThread(nowMs);
    const [cpuMs, waitMs] = [this.last.cpuMs - last.cpuMs, this.last.waitMs - last.waitMs];
    if (cpuMs > longTurnMs) this.long.push({ beganMs: last.nowMs, endedMs: nowMs, cpuMs, waitMs });
  }

  /** The most time of the processor, without collections and with them; what comes after is watched as new. */
  take() {
    const times = this.long.splice(0);
    const longest = (of) => Math.max(0, ...times.map(of));
    return {
      withCollections: longest(({ cpuMs }) => cpuMs),
      without: longest((time) => time.cpuMs - collectedCpuMs(time)),
    };
  }
}

function collectedCpuMs({ beganMs, endedMs, cpuMs, waitMs }) {
  const within = ({ startTime, duration }) =>
    Math.max(0, Math.min(endedMs, startTime + duration) - Math.max(beganMs, startTime));
  const collectedMs = collections.reduce((sum, collection) => sum + within(collection), 0);
  return collectedMs * (cpuMs / (cpuMs + waitMs));
}

const turns = new Watch();
const look = () => turns.read(performance.now());
globalThis.setInterval(look, 1).unref();

// The same for the longest span in which one callback of the event loop, or one continuation of a promise, had the
// thread for itself: a turn has many of them. The account is read again at most every few milliseconds, so a span is taken
// for so much longer than it is.
const betweenReadingsMs = 5;
const spans = new Watch();
const pass = () => {
  const nowMs = performance.now();
  if (nowMs - spans.last.nowMs >= betweenReadingsMs) spans.read(nowMs);
};
createHook({ before: pass, after: pass }).enable();

createInterface({ input: process.stdin }).on('line', () => {
  look();
  // What was observed in this turn is told in the next.
  globalThis.setImmediate(() => globalThis.setImmediate(account));
});

function account() {
  pass();
  const [span, turn] = [spans.take(), turns.take()];
  const { longestMs, p999Ms } = loop.take();
  const said = {
    loopDelayMaxMs: longestMs,
    loopDelayP999Ms: p999Ms,
    spanCpuMaxMs: span.without,
    turnCpuMaxMs: turn.without,
    turnCpuWithCollectionsMaxMs: turn.withCollections,
  };
  collectGarbage();
  loop.take();
  for (const watch of [spans, turns]) watch.last = readThread(performance.now());
  collections = [];
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(JSON.stringify({ ...said, residentBytes: rss, liveBytes: heapUsed + external }));
}

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
