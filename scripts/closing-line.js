// Prints "N passed, N failed, N skipped" from the JSON reports of jest; fails when a report is missing, has a failure,
// or has no passed test.
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
// A suite that could not be loaded has no tests to count, but is a failure.
const failed = sum(reports.map((report) => report.numFailedTests + report.numRuntimeErrorTestSuites));
const skipped = sum(reports.map((report) => report.numPendingTests + report.numTodoTests));
console.log(`${sum(passed)} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 && passed.length > 0 && passed.every((count) => count > 0) ? 0 : 1;
