// Compares what is planned with what the framework lists.
//
//   node tests/discovery/compare.mjs FOLDER PLAN.json LIST.tsv
//
// Every difference must be in FOLDER/explained.tsv: `class`, `method` (`*` is all), `reason`.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, planFile, listFile] = process.argv.slice(2);
/** Differences of one kind that are printed. */
const SHOWN = 40;

function rows(file) {
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split('\t'));
}

const escape = (text) => text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
const key = (className, method) => `${className}\t${method}`;

/** The tests that are planned, and those of them that a framework had to name. */
function ofPlan(plan) {
  const tests = new Set();
  const asked = new Set();
  for (const unit of plan.units) {
    for (const test of unit.tests) {
      const name = key(test.class, escape(test.method));
      tests.add(name);
      if (unit.asked) asked.add(name);
    }
  }
  return { tests, asked };
}

function explanations() {
  const file = join(folder, 'explained.tsv');
  if (!existsSync(file)) return [];
  const [header, ...body] = rows(file);
  if (header.join() !== 'class,method,reason') throw new Error(`${file} must begin with the columns class, method, reason`);
  return body.map(([className, method, reason]) => {
    if (!reason) throw new Error(`${file}: ${className} ${method} has no reason`);
    return { className, method, reason, used: 0 };
  });
}

const planned = ofPlan(JSON.parse(readFileSync(planFile, 'utf8')));
const explained = explanations();
const framework = new Set();
const byEngine = {};
for (const [finder, className, method] of rows(listFile)) {
  byEngine[finder] = (byEngine[finder] ?? 0) + 1;
  framework.add(key(className, method));
}

function isExplained(test) {
  const [className, method] = test.split('\t');
  const found = explained.find((one) => one.className === className && (one.method === '*' || one.method === method));
  if (found) found.used += 1;
  return found !== undefined;
}

const onlyPlanned = [...planned.tests].filter((test) => !framework.has(test));
const onlyFramework = [...framework].filter((test) => !planned.tests.has(test));
const open = { onlyPlanned: onlyPlanned.filter((test) => !isExplained(test)), onlyFramework: onlyFramework.filter((test) => !isExplained(test)) };
for (const [kind, tests] of Object.entries(open)) {
  for (const test of tests.sort().slice(0, SHOWN)) console.log(`${kind}: ${test.replace('\t', ' > ')}`);
  if (tests.length > SHOWN) console.log(`${kind}: ... and ${tests.length - SHOWN} more`);
}
const stale = explained.filter((one) => one.used === 0);
for (const one of stale) console.log(`explained.tsv: ${one.className} ${one.method} explains nothing: take it out`);

const equal = [...framework].filter((test) => planned.tests.has(test));
const classesOf = (tests) => new Set(tests.map((test) => test.split('\t')[0])).size;
const asked = equal.filter((test) => planned.asked.has(test));
console.log(`framework: ${Object.entries(byEngine).map(([finder, count]) => `${finder} ${count}`).join(', ') || 'no tests'}`);
console.log(`of these asked: classes=${classesOf(asked)} tests=${asked.length}`);
const explainedCount = onlyPlanned.length + onlyFramework.length - open.onlyPlanned.length - open.onlyFramework.length;
console.log(
  `classes=${classesOf(equal)} tests=${equal.length} onlyPlanned=${open.onlyPlanned.length} onlyFramework=${open.onlyFramework.length} explained=${explainedCount}`,
);
// A list that both sides leave empty proves nothing.
const proves = equal.length > 0;
if (!proves) console.error('compare: neither side found a test');
process.exit(open.onlyPlanned.length + open.onlyFramework.length + stale.length === 0 && proves ? 0 : 1);
