// Compares what class files tell with what the framework lists.
//
//   node tests/discovery/compare.mjs FOLDER DISCOVERY.json LIST.tsv
//
// A class that discovery says it can't tell about (a notice, or `asked`) is the framework's to list: it counts as asked,
// here and there. So do the tests of an engine that a notice names as unknown. Every other difference must be in
// FOLDER/explained.tsv: `class`, `method` (`*` is all), `reason`.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, discoveryFile, listFile] = process.argv.slice(2);
/** Finders whose rules the engine knows. */
const KNOWN = new Set(['junit-jupiter', 'junit-vintage', 'junit4', 'testng', 'spock']);
/** Differences of one kind that are printed. */
const SHOWN = 40;

function rows(file) {
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split('\t'));
}

const escape = (text) => text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
const key = (className, method) => `${className}\t${method}`;

function byClassFiles(discovery) {
  const tests = new Set();
  const asked = new Set();
  for (const found of discovery.tasks.flatMap((task) => task.classes)) {
    if (found.asked) asked.add(found.class);
    for (const test of found.tests) tests.add(key(test.class, escape(test.method)));
  }
  for (const { text } of discovery.notices) {
    const about = /^:test: ([^ :]+)(?: is not run: | has a @Factory method: |: )/.exec(text);
    if (about) asked.add(about[1]);
  }
  return { tests, asked };
}

/** A nested class is the business of the class that is run. */
function isAsked(asked, className) {
  for (let outer = className; outer !== ''; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('$')))) {
    if (asked.has(outer)) return true;
  }
  return false;
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

const discovery = byClassFiles(JSON.parse(readFileSync(discoveryFile, 'utf8')));
const explained = explanations();
const framework = new Set();
const byEngine = {};
let askedTests = 0;
const askedClasses = new Set();
for (const [finder, className, method] of rows(listFile)) {
  byEngine[finder] = (byEngine[finder] ?? 0) + 1;
  if (!KNOWN.has(finder) || isAsked(discovery.asked, className)) {
    askedTests += 1;
    askedClasses.add(className);
  } else {
    framework.add(key(className, method));
  }
}
const classFiles = new Set([...discovery.tests].filter((test) => !isAsked(discovery.asked, test.split('\t')[0])));

function isExplained(test) {
  const [className, method] = test.split('\t');
  const found = explained.find((one) => one.className === className && (one.method === '*' || one.method === method));
  if (found) found.used += 1;
  return found !== undefined;
}

const onlyClassFiles = [...classFiles].filter((test) => !framework.has(test));
const onlyFramework = [...framework].filter((test) => !classFiles.has(test));
const open = { onlyClassFiles: onlyClassFiles.filter((test) => !isExplained(test)), onlyFramework: onlyFramework.filter((test) => !isExplained(test)) };
for (const [kind, tests] of Object.entries(open)) {
  for (const test of tests.sort().slice(0, SHOWN)) console.log(`${kind}: ${test.replace('\t', ' > ')}`);
  if (tests.length > SHOWN) console.log(`${kind}: ... and ${tests.length - SHOWN} more`);
}
const stale = explained.filter((one) => one.used === 0);
for (const one of stale) console.log(`explained.tsv: ${one.className} ${one.method} explains nothing: take it out`);

const equal = [...framework].filter((test) => classFiles.has(test));
const classes = new Set(equal.map((test) => test.split('\t')[0]));
console.log(`framework: ${Object.entries(byEngine).map(([finder, count]) => `${finder} ${count}`).join(', ') || 'no tests'}`);
console.log(`asked: classes=${askedClasses.size} tests=${askedTests}`);
const explainedCount = onlyClassFiles.length + onlyFramework.length - open.onlyClassFiles.length - open.onlyFramework.length;
console.log(
  `classes=${classes.size} tests=${equal.length} onlyClassFiles=${open.onlyClassFiles.length} onlyFramework=${open.onlyFramework.length} explained=${explainedCount}`,
);
// A list that both sides leave empty proves nothing.
const proves = equal.length + askedTests > 0;
if (!proves) console.error('compare: neither side found a test');
process.exit(open.onlyClassFiles.length + open.onlyFramework.length + stale.length === 0 && proves ? 0 : 1);
