// Prints "N passed, N failed, N skipped" from the JSON that each jest wrote; fails when one wrote none, or in which
// something failed or nothing passed.
import { readFileSync } from 'node:fs';

const none = {
  numPassedTests: 0,
  numFailedTests: 1,
  numPendingTests: 0,
  numTodoTests: 0,
  numRuntimeErrorTestSuites: 0,
};

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return none;
  }
}

const sum = (counts) => counts.reduce((total, count) => total + count, 0);
const reports = process.argv.slice(2).map(read);
const passed = reports.map((report) => report.numPassedTests);
// A suite that could not even be loaded has no tests to count, and is a failure all the same.
const failed = sum(reports.map((report) => report.numFailedTests + report.numRuntimeErrorTestSuites));
const skipped = sum(reports.map((report) => report.numPendingTests + report.numTodoTests));
console.log(`${sum(passed)} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 && passed.length > 0 && passed.every((count) => count > 0) ? 0 : 1;
