// Runs what takes too long for CI: all steps one after the other, or those that are named.
import { spawnSync } from 'node:child_process';

const npm = (...args) => ['npm', 'run', '--silent', ...args];
const torture = (nodes, ...more) => ({
  shows: `15 minutes of random faults on ${nodes} live nodes${more.length > 0 ? ' with mutual TLS' : ''} lose nothing`,
  command: npm('torture', '--', '--minutes', '15', '--nodes', nodes, ...more),
});

/** Each step: what it shows, its command, and the environment that it needs besides ours. */
const steps = {
  simulator: {
    shows: 'no invariant fails in ten minutes of new seeds',
    command: npm('sim', '--', '--minutes', '10', '--seed', String(Math.floor(Date.now() / 1000))),
  },
  upgrade: {
    shows: 'a rolling upgrade from the earlier release loses nothing',
    command: npm('test', '--', 'test/long/rolling-upgrade'),
    env: { TEST_LONG: 'on' },
  },
  'upgrade-secured': {
    shows: 'the same with mutual TLS, ACL and encrypted gossip',
    command: npm('test', '--', 'test/long/rolling-upgrade'),
    env: { TEST_LONG: 'on', CLUSTER_SECURITY: 'on' },
  },
  attacks: {
    shows: 'thousands of calls delay those of others by less than 100 ms; needs a machine without other work',
    command: npm('test', '--', 'test/attacks/many-certified'),
    env: { TEST_IDLE: 'on' },
  },
  'torture-3': torture('3'),
  'torture-5': torture('5'),
  'torture-3-tls': torture('3', '--tls'),
  'torture-5-tls': torture('5', '--tls'),
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(steps, name));
if (unknown.length > 0) {
  const lines = Object.entries(steps).map(([name, { shows }]) => `  ${name.padEnd(16)} ${shows}\n`);
  process.stderr.write(`no step ${unknown.join(', ')}; expected any of these, or none for all:\n${lines.join('')}`);
  process.exit(2);
}

const failed = [];
for (const name of names.length === 0 ? Object.keys(steps) : names) {
  const { shows, command, env } = steps[name];
  process.stdout.write(`\n== ${name}: ${shows}\n`);
  const startMs = performance.now();
  const { status } = spawnSync(command[0], command.slice(1), { stdio: 'inherit', env: { ...process.env, ...env } });
  const seconds = Math.round((performance.now() - startMs) / 1000);
  process.stdout.write(`== ${name} ${status === 0 ? 'passed' : 'failed'} after ${seconds} s\n`);
  if (status !== 0) failed.push(name);
}
process.stdout.write(failed.length === 0 ? '\nall steps passed\n' : `\nfailed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
