/**
 * Returns the SAN URI that names a node: `golog://<cluster>/node/<name>`. Both parts use the characters of node names.
 */
export function nodeUri(cluster: string, name: string): string {
  return `golog://${cluster}/node/${name}`;
}

/** Returns the node that a SAN URI names; undefined for any other URI. */
export function nodeOfUri(uri: string): { readonly cluster: string; readonly name: string } | undefined {
  const match = /^golog:\/\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})\/node\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/.exec(uri);
  return match === null ? undefined : { cluster: match[1], name: match[2] };
}
