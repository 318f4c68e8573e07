import { type Command, Option } from 'commander';
import { isServerError, type ReadFrom } from '../client/index.js';
import { addressesOption } from './options/address-option.js';
import type { ServerFlags } from './options/cluster-call.js';
import { type Consistency, consistencies, type Consumed, consume } from './records/consume.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { failureMessage, waitingMessage } from './options/failure-message.js';
import { type Format, formats } from './records/input-format.js';
import { interruptible } from './options/interruption.js';
import { connectLogs } from './options/log-clients.js';
import { parseCount, parseDurationMs, parseFrom } from './options/option-values.js';
import { printChunk } from './records/output-format.js';
import { DataOutput, ReaderLeftError } from './options/standard-output.js';

interface ConsumeFlags extends ServerFlags {
  readonly from: ReadFrom;
  readonly follow?: true;
  readonly limit: number;
  readonly format: Format;
  readonly reconnectTimeout: number;
  readonly consistency?: Consistency;
}

const details = `
Where to start (--from):
  earliest              the first record that is still stored
  latest                the end of the log; prints nothing without --follow
  42                    offset 42
  -100                  the last 100 records
  2026-01-31T09:30Z     the first record appended at or after a time (local time without a zone)
  10m                   the first record of the last ten minutes (units: ms, s, m, h, d)

Format:
  text    the value of each record and a newline
  ndjson  one JSON object per line, with offset, term and appendTime, and with "encoding":"base64" when bytes
          are not UTF-8; "golog produce --format ndjson" reads it
  raw     the bytes of the values, without separators
On a terminal, control characters are escaped in each format.

Without --follow the command stops at what was the end of the log when it started. Ctrl-C prints the offset to continue
from. When a server is lost, or has lost records, the command continues at the next server of --addr, then at the other
members of the cluster, without missing or repeating a record.

Consistency (--consistency):
  linearizable  prints every record that was acknowledged before the start; waits for a leader that confirms it
  local         prints what the first server of --addr that answers knows to be committed, and asks no other member
Without the option the command reads linearizably; if no leader can confirm the end of the log for five seconds, it says
so and prints what is known to be committed.

Examples:
  golog consume | head
  golog consume --from -10 --follow
  golog consume --follow --addr 10.0.0.1:8400,10.0.0.2:8400,10.0.0.3:8400
  golog consume --from 10m --format ndjson | jq .value
  golog consume --format raw > image.iso
${exitCodesHelp}`;

export function addConsumeCommand(program: Command): void {
  program
    .command('consume')
    .summary('print records, and follow the log')
    .description('Prints the records of the log to standard output.')
    .addOption(addressesOption())
    .addOption(
      new Option('--from <WHERE>', 'where to start')
        .argParser((text) => parseFrom(text, Date.now()))
        .default({ position: 'earliest' } satisfies ReadFrom, 'earliest'),
    )
    .option('--follow', 'keep printing records as they are appended')
    .addOption(
      new Option('--limit <N>', 'stop after this many records')
        .argParser(parseCount(0))
        .default(Number.MAX_SAFE_INTEGER, 'no limit'),
    )
    .addOption(new Option('--format <FORMAT>', 'output format').choices(formats).default('text'))
    .addOption(
      new Option('--reconnect-timeout <TIME>', 'give up after no server could be reached for this long')
        .argParser(parseDurationMs)
        .default(60_000, '60s'),
    )
    .addOption(new Option('--consistency <LEVEL>', 'linearizable or local; see below').choices(consistencies))
    .addHelpText('after', details)
    .action(async (flags: ConsumeFlags) => {
      process.exitCode = await interruptible((signal) => runConsume(flags, signal));
    });
}

async function runConsume(flags: ConsumeFlags, signal: AbortSignal): Promise<ExitCode> {
  if (flags.limit === 0) return ExitCode.ok;
  const output = new DataOutput(process.stdout);
  const connections = connectLogs('consume', flags);
  if (connections === undefined) return ExitCode.usage;
  const { clients, tls } = connections;
  const consumed: Consumed = { records: 0, nextOffset: undefined };
  const format = { format: flags.format, onTerminal: process.stdout.isTTY };
  try {
    await consume(
      clients,
      {
        from: flags.from,
        follow: flags.follow === true,
        recordsMax: flags.limit,
        reconnectTimeoutMs: flags.reconnectTimeout,
        consistency: flags.consistency,
        signal,
        print: async (chunk, recordsMax) => {
          const { bytes, recordCount, endOffset } = printChunk(chunk, format, recordsMax);
          if (bytes.length > 0) await output.write(bytes);
          return { recordCount, endOffset };
        },
        onConnection: (state, reason) => {
          const what = isServerError(reason) ? 'no server can serve this now' : 'connection lost';
          say(state === 'lost' ? waitingMessage(reason, what, flags.reconnectTimeout) : 'resumed');
        },
        onUnconfirmed: (highWatermark) => {
          say(
            `no leader confirms the end of the log; printing what is known to be committed, ${highWatermark === 0 ? 'which is nothing' : `up to offset ${highWatermark - 1}`}`,
          );
        },
        onDataLoss: (address, reason) => {
          say(`${address}: ${messageOf(reason)}; continuing at another server`);
        },
      },
      consumed,
    );
  } catch (error) {
    if (error instanceof ReaderLeftError) return ExitCode.ok;
    if (!signal.aborted) {
      process.stderr.write(`golog consume: ${await failureMessage('consume', error, flags.addr, tls)}\n`);
      printNextOffset(consumed);
      return exitCodeOf(error);
    }
  } finally {
    for (const client of clients) client.close();
  }
  if (!signal.aborted) return ExitCode.ok;
  printNextOffset(consumed);
  return ExitCode.interrupted;
}

function say(text: string): void {
  process.stderr.write(`golog consume: ${text}\n`);
}

function printNextOffset({ nextOffset }: Consumed): void {
  if (nextOffset !== undefined) process.stderr.write(`next offset: ${nextOffset}\n`);
}
