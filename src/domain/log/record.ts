/**
 * What a producer hands in and a consumer gets out. Its stored form is the protobuf encoding of `log.v1.Record` with
 * the server's own fields (2 to 5) left out, so that stored bytes pass from and to the wire untouched.
 */
export interface Record {
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: ReadonlyMap<string, Uint8Array>;
}
