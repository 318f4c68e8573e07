import { toBinary } from '@bufbuild/protobuf';
import type { AppendReceipt } from '../../application/ports/consensus.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import type { ReadResult } from '../../application/ports/commit-log.js';
import type { EpochMs, Offset } from '../../domain/log/offsets.js';
import type { RecordBatch } from '../../domain/log/record-batch.js';
import { RecordCursor } from '../../domain/log/records.js';
import { ProducerSchema } from '../../gen/golog/v1/log_service_pb.js';
import { producerMessage } from './producers.js';
import {
  bytesFieldSize,
  varintFieldSize,
  writeBytesField,
  writeBytesFieldHeader,
  writeVarintField,
} from './wire-format.js';

// Encoders of the messages on the hot paths. They exist because stored payloads are already framed as the wire wants
// them: decoding and encoding them again costs more than everything else a read does. Each is tested against the
// generated code.

/** `google.protobuf.Timestamp`, to the millisecond. */
function timestampBytes(time: EpochMs): Uint8Array {
  const seconds = Math.floor(time / 1000);
  const nanos = (time % 1000) * 1_000_000;
  const bytes = new Uint8Array(varintFieldSize(seconds) + varintFieldSize(nanos));
  writeVarintField(bytes, writeVarintField(bytes, 0, 0x08, seconds), 0x10, nanos);
  return bytes;
}

/** `log.v1.ProduceResponse`. */
export function produceResponseBytes(offset: Offset): Buffer {
  const bytes = Buffer.allocUnsafe(varintFieldSize(offset));
  writeVarintField(bytes, 0, 0x08, offset);
  return bytes;
}

/** `golog.v1.AppendResponse`, with the producer of the request. */
export function appendResponseBytes(receipt: AppendReceipt, producer?: Producer): Buffer {
  const echo = producer && toBinary(ProducerSchema, producerMessage(producer));
  const names = receipt.syncedOn.map((name) => Buffer.from(name));
  let receiptSize = varintFieldSize(receipt.term) + varintFieldSize(receipt.index);
  for (const name of names) receiptSize += bytesFieldSize(name.byteLength);
  const isDuplicate = receipt.isDuplicate === true ? 1 : 0;
  let size = varintFieldSize(receipt.baseOffset) + varintFieldSize(receipt.recordCount) + bytesFieldSize(receiptSize);
  size += varintFieldSize(isDuplicate) + (echo === undefined ? 0 : bytesFieldSize(echo.byteLength));
  const bytes = Buffer.allocUnsafe(size);
  let position = writeVarintField(bytes, 0, 0x08, receipt.baseOffset);
  position = writeVarintField(bytes, position, 0x10, receipt.recordCount);
  position = writeBytesFieldHeader(bytes, position, 0x1a, receiptSize);
  position = writeVarintField(bytes, position, 0x08, receipt.term);
  position = writeVarintField(bytes, position, 0x10, receipt.index);
  for (const name of names) position = writeBytesField(bytes, position, 0x1a, name);
  position = writeVarintField(bytes, position, 0x20, isDuplicate);
  if (echo !== undefined) writeBytesField(bytes, position, 0x2a, echo);
  return bytes;
}

/** `golog.v1.ReadResponse`: one allocation, the payloads copied as they are. */
export function readResponseBytes(result: ReadResult): Buffer {
  const { batches, logStartOffset, highWatermark } = result;
  const times = batches.map((batch) => timestampBytes(batch.appendTimeMs));
  const sizes = batches.map(
    (batch, i) =>
      varintFieldSize(batch.baseOffset) +
      varintFieldSize(batch.term) +
      bytesFieldSize(times[i].byteLength) +
      (batch.prefix?.byteLength ?? 0) +
      batch.payload.byteLength,
  );
  let size = varintFieldSize(logStartOffset) + varintFieldSize(highWatermark);
  for (const batchSize of sizes) size += bytesFieldSize(batchSize);
  const bytes = Buffer.allocUnsafe(size);
  let position = 0;
  batches.forEach((batch, i) => {
    position = writeBytesFieldHeader(bytes, position, 0x0a, sizes[i]);
    position = writeVarintField(bytes, position, 0x08, batch.baseOffset);
    position = writeVarintField(bytes, position, 0x10, batch.term);
    position = writeBytesField(bytes, position, 0x1a, times[i]);
    if (batch.prefix !== undefined) {
      bytes.set(batch.prefix, position);
      position += batch.prefix.byteLength;
    }
    bytes.set(batch.payload, position);
    position += batch.payload.byteLength;
  });
  position = writeVarintField(bytes, position, 0x10, logStartOffset);
  writeVarintField(bytes, position, 0x18, highWatermark);
  return bytes;
}

/**
 * One `log.v1.ConsumeResponse` a record, made when it is asked for: the stored bytes of the record with offset, term
 * and append time appended (protobuf fields may come in any order).
 */
export function* consumeResponsesBytes(batch: RecordBatch): Generator<Buffer, void, void> {
  const time = timestampBytes(batch.appendTimeMs);
  const fixedSize = varintFieldSize(batch.term) + bytesFieldSize(time.byteLength);
  const fixed = Buffer.allocUnsafe(fixedSize);
  writeBytesField(fixed, writeVarintField(fixed, 0, 0x18, batch.term), 0x2a, time);

  const record = new RecordCursor(batch.payload);
  for (let offset: number = batch.baseOffset; record.next(); offset += 1) {
    const recordBytes = record.end - record.start;
    const size = recordBytes + varintFieldSize(offset) + fixedSize;
    const bytes = Buffer.allocUnsafe(bytesFieldSize(size));
    let position = writeBytesFieldHeader(bytes, 0, 0x12, size);
    bytes.set(batch.payload.subarray(record.start, record.end), position);
    position = writeVarintField(bytes, position + recordBytes, 0x10, offset);
    bytes.set(fixed, position);
    yield bytes;
  }
}
