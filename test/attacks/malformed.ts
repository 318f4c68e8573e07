import { flag, frame, frameType, data, headerBlock, headers, settings, uint32, windowUpdate } from './http2-frames.js';

/** The headers of a call as it should be. */
export const produceHeaders = headerBlock([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/log.v1.Log/Produce'],
  [':authority', 'localhost'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
]);

const { endHeaders, padded, priority } = flag;
const breaksOff = produceHeaders.subarray(0, produceHeaders.length - 3);
const dependsOnItself = Buffer.concat([uint32(1), Buffer.from([1]), produceHeaders]);
const tooMuchPadding = Buffer.concat([Buffer.from([255]), Buffer.alloc(9)]);

/** What breaks RFC 9113, one after the other. After most of it Node 20 keeps the session until something else ends it. */
export const malformed: readonly Buffer[] = [
  // An index that no table has, and one that none may have.
  headers(1, Buffer.from([0xff, 0xff, 0xff, 0x7f])),
  headers(1, Buffer.from([0x80])),
  headers(1, breaksOff),
  headers(1, tooMuchPadding, endHeaders | padded),
  headers(1, dependsOnItself, endHeaders | priority),
  headers(0, produceHeaders),
  headers(2, produceHeaders),
  headers(1, headerBlock([['UPPER', 'case']])),
  headers(1, headerBlock([['no', 'method']])),
  headers(1, Buffer.concat([produceHeaders, headerBlock([['connection', 'close']])])),
  // Not ended, and then followed by something else, or nothing.
  Buffer.concat([headers(1, produceHeaders, 0), settings()]),
  headers(1, produceHeaders, 0),
  frame(frameType.continuation, endHeaders, 1, produceHeaders),
  data(1, Buffer.alloc(10)),
  frame(frameType.data, 0, 1, Buffer.alloc(0), 1 << 20),
  frame(frameType.settings, 0, 0, Buffer.alloc(5)),
  frame(frameType.ping, 0, 0, Buffer.alloc(7)),
  frame(frameType.pushPromise, endHeaders, 1, Buffer.alloc(20)),
  windowUpdate(0, 0),
];
