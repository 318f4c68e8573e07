import type { CallMemory } from '../../application/access/call-memory.js';
import { type HttpRequest, isHttp2 } from './http-message.js';
import { HttpProblem } from './problem.js';

function tooLarge(bytesMax: number): HttpProblem {
  return new HttpProblem(
    413,
    'Body too large',
    `the request body is too large: the limit is ${bytesMax} bytes`,
    {},
    { limit: bytesMax },
  );
}

function encoded(encoding: string): HttpProblem {
  return new HttpProblem(
    415,
    'Unsupported content encoding',
    `the body is encoded (${JSON.stringify(encoding.slice(0, 100))}): send it as it is, or call a method by its name, which takes gzip and br`,
    { 'accept-encoding': 'identity' },
  );
}

/**
 * The whole body of a request. Rejects with an `HttpProblem`: 415 if it is compressed, 413 as soon as it is known to be
 * larger than `bytesMax`, 408 when it has not come whole within `deadlineMs`; or with an `OverloadedError` when `memory`
 * has no space for it. What still comes is then read and dropped.
 */
export function readBody(
  request: HttpRequest,
  bytesMax: number,
  deadlineMs: number,
  memory: CallMemory | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;

    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      finish();
    };
    const refuse = (problem: Error): void => {
      settle(() => {
        request.resume();
        reject(problem);
      });
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      const refusal = size > bytesMax ? tooLarge(bytesMax) : memory?.arrive(chunk.length);
      if (refusal === undefined) chunks.push(chunk);
      else refuse(refusal);
    };
    const onClose = (): void => {
      settle(() => {
        reject(new HttpProblem(400, 'Incomplete body', 'the request ended before its body was complete'));
      });
    };
    const onEnd = (): void => {
      // Node ends the body of an HTTP/2 request that the client resets as if it were whole.
      if (isHttp2(request) && request.stream.closed) {
        onClose();
        return;
      }
      settle(() => {
        memory?.deliver(size);
        resolve(Buffer.concat(chunks, size));
      });
    };
    const timer = setTimeout(() => {
      refuse(
        new HttpProblem(
          408,
          'Request timeout',
          `the request body did not arrive within ${deadlineMs} ms`,
          isHttp2(request) ? {} : { connection: 'close' },
        ),
      );
    }, deadlineMs);

    const encoding = request.headers['content-encoding'] ?? 'identity';
    if (encoding.toLowerCase() !== 'identity') refuse(encoded(encoding));
    else if (Number(request.headers['content-length'] ?? 0) > bytesMax) refuse(tooLarge(bytesMax));
    else request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}
