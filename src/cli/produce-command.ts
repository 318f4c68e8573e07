import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import { calledAs } from '../infrastructure/called-as.js';
import { addressesOption } from './options/address-option.js';
import type { ServerFlags } from './options/cluster-call.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { failureMessage, waitingMessage } from './options/failure-message.js';
import { type Format, formats, recordReader } from './records/input-format.js';
import { interruptible } from './options/interruption.js';
import { connectLogs } from './options/log-clients.js';
import { parseBytes, parseCount, parseDurationMs } from './options/option-values.js';
import { namedInput } from './records/named-input.js';
import { type Produced, produce } from './records/produce.js';
import { stoppedReport, summary } from './records/produce-report.js';
import { givenOptions } from './options/given-options.js';
import { progressOnTerminal } from './options/progress.js';

interface ProduceFlags extends ServerFlags {
  readonly format: Format;
  readonly chunkBytes: number;
  readonly batchBytes: number;
  readonly recordBytesMax: number;
  readonly linger: number;
  readonly inFlight: number;
  readonly reconnectTimeout: number;
  readonly shared?: true;
  readonly quiet?: true;
  readonly json?: true;
}

const mebibyte = 1024 * 1024;
/** The default limit of a server for a batch is 1 MiB; four bytes of it frame a single record that fills it. */
const recordBytesMaxDefault = mebibyte - 4;

const details = `
Records:
  text    each line is a record, without its newline; every other byte is kept: empty lines, CR, bytes that are
          not UTF-8. "golog consume" ends each record with a newline, so a file that ends with a newline comes
          back byte for byte; a last line without one is reported, and comes back with one.
  ndjson  each line is {"value":"text","key":"k","headers":{"name":"text"}}; only "value" is required. With
          "encoding":"base64", the value, the key and the header values of the line are base64. Blank lines are
          passed over, and so is a byte order mark.
  raw     chunks of --chunk-bytes bytes; "golog consume --format raw" restores the input.

Order and duplicates: records are stored in the order of the input, each exactly once. When the connection or the
server is lost, the command continues at the next server of --addr that answers within --reconnect-timeout; each batch
claims its offset, so it cannot be stored twice. Once another producer appends to the log, and from the start with
--shared, batches claim no offsets; a connection that is then lost with batches in flight ends the command, which prints
where to resume.

While the server refuses records, for example because its disk is full, the command tries again for --reconnect-timeout.
Batches and records that are larger than --batch-bytes-max of the server are never sent.

Examples:
  golog produce access.log
  tail -F access.log | golog produce --addr 10.0.0.1:8400,10.0.0.2:8400,10.0.0.3:8400
  golog produce --format raw --chunk-bytes 64KiB image.iso --json
  echo '{"value":"hello","key":"greeting"}' | golog produce --format ndjson
${exitCodesHelp}`;

export function addProduceCommand(program: Command): void {
  program
    .command('produce')
    .summary('append a file or standard input, one record a line')
    .description('Appends a file or standard input, and prints its offsets once all of it is durable.')
    .argument('[FILE]', 'file to append; standard input if omitted or -')
    .addOption(addressesOption())
    .addOption(new Option('--format <FORMAT>', 'how the input is split into records').choices(formats).default('text'))
    .addOption(
      new Option('--chunk-bytes <SIZE>', 'size of the records of --format raw')
        .argParser(parseBytes(recordBytesMaxDefault))
        .default(64 * 1024, '64KiB'),
    )
    .addOption(
      new Option('--batch-bytes <SIZE>', 'largest batch, unless a single record is larger')
        .argParser(parseBytes(mebibyte))
        .default(256 * 1024, '256KiB'),
    )
    .addOption(
      new Option('--record-bytes-max <SIZE>', 'refuse larger records')
        .argParser(parseBytes(16 * mebibyte))
        .default(recordBytesMaxDefault, '1MiB less 4B'),
    )
    .addOption(
      new Option('--linger <TIME>', 'send a batch that is not full after this long')
        .argParser(parseDurationMs)
        .default(5, '5ms'),
    )
    .option('--in-flight <N>', 'largest number of batches in flight', parseCount(1, 256), 16)
    .addOption(
      new Option('--reconnect-timeout <TIME>', 'give up after this long without progress')
        .argParser(parseDurationMs)
        .default(60_000, '60s'),
    )
    .option('--shared', 'claim no offsets, because other producers append at the same time')
    .option('--quiet', 'show no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText('after', details)
    .action(async (file: string | undefined, flags: ProduceFlags, command: Command) => {
      const options = givenOptions(command, process.argv.slice(3));
      process.exitCode = await interruptible((signal) => runProduce(file ?? '-', flags, options, signal));
    });
}

async function runProduce(
  file: string,
  flags: ProduceFlags,
  options: readonly string[],
  signal: AbortSignal,
): Promise<ExitCode> {
  let input: Readable;
  let inputBytesTotal: number | undefined;
  if (file === '-') input = process.stdin;
  else {
    try {
      const found = await stat(file);
      if (found.isDirectory()) throw new Error('is a directory');
      if (found.isFile()) inputBytesTotal = found.size;
    } catch (error) {
      process.stderr.write(`golog produce: cannot read ${file}: ${messageOf(error)}\n`);
      return ExitCode.failure;
    }
    input = createReadStream(file, { highWaterMark: 256 * 1024 });
  }

  const connections = connectLogs('produce', flags);
  if (connections === undefined) return ExitCode.usage;
  const { clients, tls } = connections;
  // A bar would be drawn over the lines that are typed.
  const isTyped = file === '-' && process.stdin.isTTY;
  const progress = progressOnTerminal(inputBytesTotal, flags.quiet === true || isTyped);
  const reader = recordReader(flags);
  const produced: Produced = {
    records: 0,
    bytes: 0,
    inputBytes: 0,
    firstOffset: undefined,
    lastOffset: undefined,
    recordsSent: 0,
    units: 0,
    unitsSent: 0,
  };
  const startMs = performance.now();
  let failure: unknown;
  try {
    await produce(
      clients,
      namedInput(input, file),
      {
        reader,
        batchBytes: flags.batchBytes,
        recordBytesMax: flags.recordBytesMax,
        lingerMs: flags.linger,
        inFlightMax: flags.inFlight,
        shared: flags.shared === true,
        reconnectTimeoutMs: flags.reconnectTimeout,
        signal,
        onProgress: ({ inputBytes, records }) => {
          progress.update(inputBytes, records);
        },
        onConnection: (state, reason) => {
          progress.note(
            state === 'lost'
              ? `golog produce: ${waitingMessage(reason, 'no server accepts records now', flags.reconnectTimeout)}`
              : `golog produce: resumed`,
          );
        },
      },
      produced,
    );
  } catch (error) {
    failure = error;
  } finally {
    progress.stop();
    input.destroy();
    for (const client of clients) client.close();
  }
  const tookSeconds = (performance.now() - startMs) / 1_000;

  if (failure !== undefined)
    process.stderr.write(`golog produce: ${await failureMessage('produce', failure, flags.addr, tls)}\n`);
  if (failure !== undefined || signal.aborted) {
    process.stderr.write(stoppedReport(produced, { file, unit: reader.unit, command: calledAs(), options }, failure));
  }
  if (reader.lastLineUnterminated) {
    process.stderr.write('golog produce: the last line has no newline; golog consume will end it with one\n');
  }
  process.stdout.write(summary(produced, tookSeconds, flags.json === true));
  if (failure !== undefined) return exitCodeOf(failure);
  return signal.aborted ? ExitCode.interrupted : ExitCode.ok;
}
