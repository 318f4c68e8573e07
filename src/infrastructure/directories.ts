/** Directories that commands make outside of a data directory. */
export { makeDirectory } from '../adapters/file-system/make-directory.js';
