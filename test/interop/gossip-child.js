// A node of gossip alone, in a process of its own, so that it can be stopped and killed. It takes its options as JSON,
// and tells each change of the members as a line of JSON.
const [dist, json] = process.argv.slice(2);
const { SerfGossip } = await import(`${dist}/adapters/serf/index.js`);
const { systemClock } = await import(`${dist}/adapters/clock/system-clock.js`);

const { tags, join, ...options } = JSON.parse(json);
const silent = () => undefined;
const gossip = new SerfGossip({
  ...options,
  tags: new Map(Object.entries(tags)),
  clock: systemClock,
  logger: { debug: silent, info: silent, warn: silent, error: silent },
});
const tell = (message) => console.log(JSON.stringify(message));
gossip.onChange(() => tell({ members: gossip.members().map(({ name, status }) => `${name} ${status}`) }));
tell({ addr: await gossip.start() });
const addrs = join === undefined ? gossip.former : [join];
if (addrs.length > 0) await gossip.join(addrs, new globalThis.AbortController().signal);
