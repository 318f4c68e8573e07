// Prints each failed test of the JSON reports of jest, and last "N passed, N failed, N skipped"; fails when a report is
// missing, has a failure, or has no passed test.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const linesMax = 12;
const none = {
  testResults: [],
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

const beginning = (message) => stripVTControlCharacters(message).split('\n').slice(0, linesMax).join('\n');

const sum = (counts) => counts.reduce((total, count) => total + count, 0);
const reports = process.argv.slice(2).map(read);
for (const { name, message, assertionResults } of reports.flatMap(({ testResults }) => testResults)) {
  const failures = assertionResults.filter(({ status }) => status === 'failed');
  for (const { fullName, failureMessages } of failures)
    console.log(`FAILED ${relative('', name)}: ${fullName}\n${beginning(failureMessages.join('\n'))}\n`);
  if (assertionResults.length === 0 && message !== '')
    console.log(`FAILED ${relative('', name)}\n${beginning(message)}\n`);
}
const passed = reports.map((report) => report.numPassedTests);
// A suite that could not be loaded has no tests to count, but is a failure.
const failed = sum(reports.map((report) => report.numFailedTests + report.numRuntimeErrorTestSuites));
const skipped = sum(reports.map((report) => report.numPendingTests + report.numTodoTests));
console.log(`${sum(passed)} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 && passed.length > 0 && passed.every((count) => count > 0) ? 0 : 1;
