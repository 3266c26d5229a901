// Lists the tests of a suite with the framework itself, without running them.
//
//   node tests/discovery/list.mjs FOLDER
//
// FOLDER holds pom.xml and manifest.json, see README.md. Writes the list (finder, class, method; tab separated) and
// prints where; the last line is `classes=N tests=N listedMs=N processMs=N`: listedMs within the JVM, from the start of
// main until the framework has told all; processMs with the JVM's start and end.

import { readFileSync } from 'node:fs';
import { Problem, listByFramework, prepare } from './suite.mjs';

try {
  const suite = prepare(process.argv[2] ?? '.');
  const { file, listedMs, processMs } = listByFramework(suite);
  const rows = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '');
  const classes = new Set(rows.map((row) => row.split('\t')[1]));
  console.log(`request: ${suite.requestFile}`);
  console.log(`list: ${file}`);
  console.log(`classes=${classes.size} tests=${rows.length} listedMs=${listedMs} processMs=${processMs}`);
} catch (error) {
  if (!(error instanceof Problem) && error.status === undefined) throw error;
  console.error(`list: ${error.message}`);
  process.exit(2);
}
