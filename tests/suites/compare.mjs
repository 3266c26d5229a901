// Compares the summary.json of a run, class by class, with a recorded run of the same suite.
//
//   node compare.mjs FOLDER SUMMARY WALL_SECONDS
//
// A recorded class has: tests that ran (passed, failed or aborted) and tests that were skipped. An
// invocation of a parameterized or dynamic test counts as a test, as it did in the recording. A class
// that was skipped as a whole was recorded as one skipped entry; now each of its tests is one.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, summaryFile, wall] = process.argv.slice(2);
const COUNTED = ['tests', 'ok', 'failed', 'aborted', 'skipped'];

function tsv(file) {
  const [header, ...rows] = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => line.split('\t'));
  return rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i]])));
}

function recordedClasses() {
  return new Map(tsv(join(folder, 'classes.tsv')).map((row) =>
    [row.class, Object.fromEntries(COUNTED.map((name) => [name, Number(row[name])]))]));
}

function explainedClasses() {
  const file = join(folder, 'explained.tsv');
  return existsSync(file) ? new Map(tsv(file).map((row) => [row.class, row.reason])) : new Map();
}

/** A nested class counts for the class that the framework ran, which is what the recording names. */
function recordedName(name, recorded) {
  for (let outer = name; ; outer = outer.slice(0, outer.lastIndexOf('$'))) {
    if (recorded.has(outer)) return outer;
    if (outer.lastIndexOf('$') <= 0) return name;
  }
}

function outcomes(test) {
  if (test.invocations?.length) return test.invocations.map((invocation) => invocation.outcome);
  return [test.verdict === 'skipped' ? test.outcome : test.verdict];
}

const COLUMN = { passed: 'ok', failed: 'failed', errored: 'failed', aborted: 'aborted', skipped: 'skipped' };

function ranClasses(summary, recorded) {
  const classes = new Map();
  for (const test of summary.tests) {
    const name = recordedName(test.class, recorded);
    const counts = classes.get(name) ?? Object.fromEntries(COUNTED.map((column) => [column, 0]));
    classes.set(name, counts);
    for (const outcome of outcomes(test)) {
      const column = COLUMN[outcome] ?? outcome; // lost tests keep their word, and make the class differ
      counts[column] = (counts[column] ?? 0) + 1;
      if (column !== 'skipped') counts.tests += 1;
    }
  }
  return classes;
}

const skippedWhole = (counts) => counts?.tests === 0 && counts.skipped > 0;
const text = (counts) => counts ? Object.entries(counts).map(([name, n]) => `${name}=${n}`).join(' ') : 'not there';

if (!existsSync(summaryFile)) {
  console.log(`there is no ${summaryFile}: the run ended before its report; its output above says why`);
  console.log(`classes equal=0 explained=0 different=${recordedClasses().size} tests=0 wall=${wall}`);
  process.exit(1);
}
const summary = JSON.parse(readFileSync(summaryFile, 'utf8'));
const recorded = recordedClasses();
const explained = explainedClasses();
const ran = ranClasses(summary, recorded);
const result = { equal: 0, explained: 0, different: 0 };
for (const name of [...new Set([...recorded.keys(), ...ran.keys()])].sort()) {
  const [was, is] = [recorded.get(name), ran.get(name)];
  if (text(was) === text(is) || (skippedWhole(was) && skippedWhole(is))) {
    result.equal += 1;
  } else if (explained.has(name)) {
    result.explained += 1;
    console.log(`explained ${name}: recorded ${text(was)}; now ${text(is)}: ${explained.get(name)}`);
  } else {
    result.different += 1;
    console.log(`different ${name}: recorded ${text(was)}; now ${text(is)}`);
  }
}
const tests = [...ran.values()].reduce((sum, counts) => sum + counts.tests, 0);
console.log(`classes equal=${result.equal} explained=${result.explained} different=${result.different} tests=${tests} wall=${wall}`);
process.exit(result.different === 0 ? 0 : 1);
