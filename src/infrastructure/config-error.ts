/** An invalid configuration; the message names the option and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
