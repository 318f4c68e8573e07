import { describe, expect, it } from '@jest/globals';
import { checkoutFiles, readText } from './checkout.js';
import { commentsOf, stringsOf, type Piece } from './source-text.js';

/** An expression that is not plain English, or an old name of something, and what to write in its place. */
interface Rule {
  readonly pattern: RegExp;
  readonly write: string;
}

const rules: readonly Rule[] = [
  { pattern: /\banew\b/, write: 'again' },
  { pattern: /\b(comes?|came|coming) about\b/, write: 'happens, completes' },
  { pattern: /\bunder way\b/, write: 'in progress, in flight' },
  { pattern: /\blet(s|ting)? ((it|them|one|nobody|anybody|whoever|who) )?in\b/, write: 'admits' },
  { pattern: /\bhand(s|ed|ing)? ((it|them|one|leadership) )?over\b/, write: 'transfers' },
  { pattern: /\b(take|takes|took|taken|taking) ((it|them|one|itself) )?out\b/, write: 'removes' },
  // "There is no leader" is plain; "it is no longer …" and the like are, too.
  {
    pattern:
      /(?<!\bthere )\b(is|are|was|were) no (?!(longer|more|less|fewer|later|larger|smaller|older|newer)\b)[\w…]/i,
    write: 'is not a …',
  },
  { pattern: /(?<!\bthere )\b(is|are|was|were) none\b/i, write: 'is not a …' },
  { pattern: /\b(is|are|was|were) gone\b/, write: 'is removed, is missing, is down' },
  { pattern: /\btak(e|es|ing|en) (no (more )?|more )?appends\b|\bappends are taken\b/, write: 'accepts' },
  { pattern: /\bpass(es|ed|ing)? (it |them )?on\b(?! (the|a|each|every) )/, write: 'forwards' },
  { pattern: /\bby (mutual )?(TLS|gRPC|HTTP(\/\d)?|TCP|UDP|Connect)\b/, write: 'over' },
  { pattern: /\bbehind (the |an? )?(offset|index|position|entry|bad bytes|damage|range|end)\b/, write: 'after, past' },
  { pattern: /\bbeyond\b(?! loopback)/, write: 'after, past, above' },
  { pattern: /\bwhom\b/i, write: 'the peer it, a node that' },
  { pattern: /\b(node|member|peer|replica|leader|follower|voter|learner|server|process)s? who\b/, write: 'that' },
  { pattern: /\bwith nobody\b/, write: 'no … has answered yet' },
  { pattern: /\bnot whole\b/, write: 'corrupt, damaged' },
  { pattern: /\bhow the cluster is\b/, write: 'the cluster status' },
  { pattern: /\bin words\b/, write: 'as text, described' },
  { pattern: /\bdesks?\b/i, write: 'admission, handler' },
  { pattern: /\bupkeep\b/i, write: 'maintenance' },
  { pattern: /\b(heirs?|succession)\b/i, write: 'transferee, leadership transfer' },
  { pattern: /\bstep(s|ped|ping)? aside\b/, write: 'transfers leadership' },
  { pattern: /\bguests?\b/i, write: 'peer service' },
  { pattern: /\bzombies?\b/i, write: 'stale' },
  { pattern: /\brivals?\b/i, write: 'other producer' },
  { pattern: /\bclogged\b/i, write: 'backpressured' },
  { pattern: /\b(fates?|unplaced)\b/i, write: 'outcome, unassigned' },
  { pattern: /\b(take|takes|took|taken|taking) (no )?part\b/, write: 'votes, replicates, runs Raft' },
  { pattern: /\bby gossip\b/, write: 'through gossip' },
  { pattern: /\bwhoever\b/i, write: 'every node that' },
  { pattern: /\brooms?\b/i, write: 'layer (of code), space (on a disk or in memory)' },
  { pattern: /(?<!\bstartup )\bgates?\b/i, write: 'startup gate, message filter, stream scheduler' },
  { pattern: /\b(LogTail|EntryStore|stepAside|untilOrLate|inWords)\b/, write: 'the name of today' },
];

/** What a rule finds and is right as it stands, with the reason. */
const exceptions: readonly { readonly path: string; readonly text: string; readonly reason: string }[] = [];

const isExcepted = ({ path, text }: Piece): boolean =>
  exceptions.some((exception) => exception.path === path && text.includes(exception.text));

/** What the rules find in the pieces, as `path:line: expression, write: …`. */
function findings(pieces: readonly Piece[]): string[] {
  return pieces.flatMap((piece) =>
    rules.flatMap(({ pattern, write }) => {
      const found = pattern.exec(piece.text);
      return found === null || isExcepted(piece) ? [] : [`${piece.path}:${piece.line}: "${found[0]}", write: ${write}`];
    }),
  );
}

/** The lines of a document, without blocks of code and what stands in backticks. */
function proseOf(path: string): Piece[] {
  const text = readText(path)
    .replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/[^\n]/g, ''))
    .replace(/`[^`\n]*`/g, '``')
    .replace(/\]\([^)\s]*\)/g, ']');
  return text.split('\n').map((line, place) => ({ path, line: place + 1, text: line }));
}

const files = checkoutFiles();
const sources = files.filter((path) => /^(src|test|bench)\/.*\.ts$/.test(path) && !path.startsWith('src/gen/'));
const documents = files.filter((path) =>
  /^(docs\/[\w-]+|README|CHANGELOG|SECURITY|CONTRIBUTING|bench\/README)\.md$/.test(path),
);

describe('language', () => {
  it('begins a comment with what the thing is or does', () => {
    const wrong = sources.flatMap((path) =>
      commentsOf(path)
        .filter(({ text }) => /^(Of|Who|Whom|Since|Behind)\b/.test(text))
        .map(({ line, text }) => `${path}:${line}: ${text.split('\n')[0]}`),
    );
    expect(wrong).toEqual([]);
  });

  const product = sources.filter((path) => path.startsWith('src/') && !path.endsWith('.test.ts'));

  it('comments the product in plain English', () => {
    expect(findings(product.flatMap(commentsOf))).toEqual([]);
  });

  it('says errors, log lines and help in plain English', () => {
    const isMessage = ({ text }: Piece): boolean => /[a-z…] [a-z…]/i.test(text);
    expect(findings(product.flatMap(stringsOf).filter(isMessage))).toEqual([]);
  });

  it.each(documents)('%s is in plain English', (path) => {
    expect(findings(proseOf(path))).toEqual([]);
  });

  it('recognizes what is not plain, and nothing else', () => {
    const found = (text: string): boolean => findings([{ path: '', line: 1, text }]).length > 0;
    const odd = [
      'this node takes no more appends until it is started anew',
      'the transfer of leadership did not come about',
      'n9 is no member',
      '… is no …',
      'in the gossip with nobody yet',
      'it could not be taken out now',
      'one of the two slots of the hard state is not whole',
      'what it cannot answer it passes on',
      'lets in a node, whom it knows by TLS',
      'a node that has taken no part meets its peers by gossip',
      'the entry behind the offset, beyond the end',
    ];
    const plain = [
      'there is no leader now',
      'there is none',
      'the log is no longer read',
      'passes on the first try',
      '--rpc-addr is beyond loopback',
      'a follower behind the leader is admitted over TLS',
      'the startup gate forwards calls; the gateway hands a batch to the log',
      'lets the client continue',
      'takes parts of a message; answers through gossip',
    ];
    expect(odd.filter((text) => !found(text))).toEqual([]);
    expect(plain.filter(found)).toEqual([]);
  });
});
