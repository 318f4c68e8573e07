/** The part of `fs-native-extensions` that golog uses; the package ships no types. */
declare module 'fs-native-extensions' {
  /** Takes an open-file-description lock on the whole file; returns false if another descriptor holds one. */
  export function tryLock(fd: number, options?: { shared?: boolean }): boolean;
  /** Locks a range of bytes, which may lie past the end of the file. */
  export function tryLock(fd: number, offset: number, length: number): boolean;
}
