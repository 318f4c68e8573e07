/** The part of `fs-native-extensions` that is used here; the package has no types of its own. */
declare module 'fs-native-extensions' {
  /** An open-file-description lock on the whole file; false when another descriptor holds one. */
  export function tryLock(fd: number, options?: { shared?: boolean }): boolean;
}
