import { ConfChanger, InvalidConfChangeError } from '../../src/domain/raft/conf-changer.js';
import type { ConfChangeSingle } from '../../src/domain/raft/conf-change.js';
import type { Membership } from '../../src/domain/raft/progress-tracker.js';
import { describeConfig, describeProgressMap, ProgressTracker } from '../../src/domain/raft/progress-tracker.js';
import { parseConfChanges, UnknownConfChangeError } from './conf-changes.js';
import type { Directive } from './grammar.js';
import { parseBoolean, valueOf } from './grammar.js';

/**
 * Plays scenarios of kind `confchange`: the commands `simple`, `enter-joint` and `leave-joint` apply their input to one
 * configuration. The log grows by one entry per command.
 */
export class ConfChangeScenario {
  private readonly tracker = new ProgressTracker(10, 0);
  private lastIndex = 0;

  play(directive: Directive): string {
    try {
      const membership = this.change(directive, parseConfChanges(directive.input));
      if (membership === undefined) return 'unknown command';
      this.tracker.configure(membership);
      return `${describeConfig(membership.config)}\n${describeProgressMap(membership.progress)}`;
    } catch (error) {
      if (error instanceof InvalidConfChangeError || error instanceof UnknownConfChangeError) return error.message;
      throw error;
    } finally {
      this.lastIndex += 1;
    }
  }

  private change(directive: Directive, changes: readonly ConfChangeSingle[]): Membership | undefined {
    const changer = new ConfChanger({
      membership: this.tracker,
      lastIndex: this.lastIndex,
      newInflights: () => this.tracker.newInflights(),
    });
    switch (directive.command) {
      case 'simple':
        return changer.simple(changes);
      case 'enter-joint':
        return changer.enterJoint(directive.args.length > 0 && parseBoolean(valueOf(directive, 'autoleave')), changes);
      case 'leave-joint':
        if (changes.length > 0) throw new InvalidConfChangeError('this command takes no input');
        return changer.leaveJoint();
      default:
        return undefined;
    }
  }
}
