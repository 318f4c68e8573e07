import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CasbinAuthorizer } from '../../src/adapters/acl/index.js';
import { decideAction } from '../../src/application/access/access.js';
import { testPolicy } from '../../src/infrastructure/acl-test.js';
import { watchPolicy } from '../../src/infrastructure/node-policy.js';
import { OwnTime } from '../cluster/deadline.js';
import { root } from '../foundation/checkout.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const model = readFileSync(join(root, 'test/model.conf'), 'utf8');
const policy = readFileSync(join(root, 'test/policy.csv'), 'utf8');
const files = { model: join(root, 'test/model.conf'), policy: join(root, 'test/policy.csv') };

describe("the original's model and policy", () => {
  it('let root produce and consume, and so look, and nobody nothing', async () => {
    const authorizer = new CasbinAuthorizer();
    await authorizer.replace({ model, policy });
    const allowed = (subject: string): string[] =>
      (['produce', 'consume', 'admin', 'observe'] as const).filter(
        (action) => decideAction(authorizer, subject, action).allowed,
      );
    expect(allowed('root')).toEqual(['produce', 'consume', 'observe']);
    expect(allowed('nobody')).toEqual([]);
    expect(allowed('anonymous')).toEqual([]);
  });

  it('golog acl test names the line that decided', async () => {
    const asked = { subject: 'root', action: 'consume', object: '*' } as const;
    expect(await testPolicy(files, asked)).toEqual({ allowed: true, because: 'policy line 2: p, root, *, consume' });
    const denied = await testPolicy(files, { ...asked, subject: 'nobody' });
    expect(denied).toEqual({ allowed: false, because: 'no policy line allows it' });
  });
});

describe('a policy that is not whole', () => {
  it.each([
    ['an unknown kind of line', model, 'x, root, *, produce\n', /policy line 1 begins with "x"/],
    ['a field too few', model, 'p, root, *, produce\np, root, produce\n', /policy line 2 has 2 fields/],
    ['a field too many', model, 'p, root, *, produce, allow\n', /policy line 1 has 4 fields/],
    ['a quotation that does not end', model, 'p, "root, *, produce\n', /./],
    ['brackets that do not close', model, 'p, (root, *, produce\n', /nmatched/],
    ['an empty model', '', policy, /./],
    ['a model without a matcher', model.slice(0, model.indexOf('[matchers]')), policy, /./],
    ['a matcher that does not parse', model.replace('r.sub == p.sub', 'r.sub == =='), policy, /./],
    ['regexMatch', model.replace('r.sub == p.sub', 'regexMatch(r.sub, p.sub)'), policy, /regexMatch/],
    ['a long one', `${model}# ${'x'.repeat(16_384)}`, policy, /at most 16384/],
    ['eval', model.replace('r.sub == p.sub', 'eval(p.sub)'), policy, /eval/],
  ])('is refused, and the last good one holds: %s', async (_, badModel, badPolicy, message) => {
    const authorizer = new CasbinAuthorizer();
    const bad = { model: badModel, policy: badPolicy };
    await expect(authorizer.replace(bad)).rejects.toThrow(message);
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(false);
    await authorizer.replace({ model, policy });
    await expect(authorizer.replace(bad)).rejects.toThrow(message);
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
  });

  it('may have comments, empty lines, CRLF and quotes', async () => {
    const authorizer = new CasbinAuthorizer();
    await authorizer.replace({ model, policy: '# who\r\n\r\np, root, *, produce\r\np, "bill", *, consume' });
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
    expect(authorizer.decide('bill', '*', 'consume')).toEqual({
      allowed: true,
      because: 'policy line 4: p, "bill", *, consume',
    });
  });
});

describe('the cache of decisions', () => {
  it('holds a bounded number, and is right beyond it', async () => {
    const authorizer = new CasbinAuthorizer();
    await authorizer.replace({ model, policy });
    for (let n = 0; n < 25_000; n++) expect(authorizer.decide(`subject-${n}`, '*', 'produce').allowed).toBe(false);
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
  });
});

describe('the files of a policy', () => {
  let folder: string;
  const logger = new RecordingLogger();
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'golog-acl-'));
    logger.lines.length = 0;
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('deny everything while they are missing or broken at the start, then rule as soon as they are good', async () => {
    const authorizer = new CasbinAuthorizer();
    const path = join(folder, 'policy.csv');
    const watched = await watchPolicy(authorizer, { model: files.model, policy: path }, logger);
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(false);
    expect(logger.events('error')).toEqual(['acl_load_failed']);
    const changed = new Promise<void>((resolve) => authorizer.onChange(resolve));
    writeFileSync(path, policy);
    await changed;
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
    await watched.stop();
  });

  it('keep the last good policy when they break, and say so; a rename over the file is seen within a second', async () => {
    const authorizer = new CasbinAuthorizer();
    const path = join(folder, 'policy.csv');
    writeFileSync(path, policy);
    const watched = await watchPolicy(authorizer, { model: files.model, policy: path }, logger);
    const complained = logger.next('error');
    writeFileSync(path, 'p, root\n');
    expect(await complained).toBe('acl_reload_failed');
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);

    const time = new OwnTime();
    const changed = new Promise<void>((resolve) => authorizer.onChange(resolve));
    writeFileSync(join(folder, 'next'), 'p, bill, *, produce\n');
    renameSync(join(folder, 'next'), path);
    await changed;
    expect(time.stop()).toBeLessThan(1_000);
    expect(authorizer.decide('root', '*', 'produce').allowed).toBe(false);
    await watched.stop();
  });
});
