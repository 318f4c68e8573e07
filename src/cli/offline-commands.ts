import type { Command } from 'commander';

export function addVerifyCommand(program: Command): void {
  program.command('verify').argument('<DIR>');
}

export function addDumpCommand(program: Command): void {
  program.command('dump').argument('<SEGMENT>');
}
