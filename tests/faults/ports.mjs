// Runs tests that bind fixed ports side by side. Started by tests/ports-drill.
//
//   node ports.mjs REQUEST PROGRAMS [--isolation KIND] [--workers N] [--tests PATTERN]

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { seconds, table } from './figures.mjs';
import { Ground } from './ground.mjs';
import { struckTests } from './journal.mjs';
import { thrownOf, verdictsOf, judge } from './judge.mjs';

const TAKEN = 'Address already in use';
/** No test of the suite takes as long; one that hangs must not keep the others waiting. */
const TEST_TIMEOUT = 180_000;

const { values: options, positionals: [request, programs] } = parseArgs({
  allowPositionals: true,
  options: {
    isolation: { type: 'string', default: 'namespace' },
    workers: { type: 'string', default: '2' },
    tests: { type: 'string' },
  },
});
const ground = new Ground({
  name: 'ports-drill', request, programs,
  choose: (chosen) => { chosen.run.timeouts.testMs = TEST_TIMEOUT; },
});
let status = 1;
try {
  const run = ground.run('ports');
  const from = Date.now();
  run.start('--isolation', options.isolation, '--workers', options.workers, ...(options.tests ? ['--tests', options.tests] : []));
  const exit = await run.ended;
  const wall = Date.now() - from;
  const events = run.journal();
  if (!events.some(({ type }) => type === 'runFinished')) throw new Error(`the run did not come to its end (exit ${exit}):\n${run.log()}`);
  const verdicts = verdictsOf(events);
  const broken = judge({ quiet: verdicts, run, named: () => false }).broken;

  // Wherever it was said: thrown, or written by a test.
  const files = readdirSync(dirname(run.journalFile), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const said = files.map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'latin1').split(TAKEN).length - 1);
  const taken = said.reduce((sum, count) => sum + count, 0);

  // Who ends its JVM is errored; what else ran there at that time, or was to run, must not be.
  const thrown = thrownOf(events);
  const died = struckTests(events).filter(({ type }) => type === 'jvmDied');
  const blamed = [...verdicts].filter(([test]) => thrown.get(test)?.kind === 'JvmDied').map(([test]) => test);
  const running = new Set(died.flatMap(({ tests }) => tests.map(({ test }) => test)));
  for (const test of blamed) if (!running.has(test)) broken.push(`${test} is blamed for the end of a JVM in which it did not run`);
  if (blamed.length > died.length) broken.push(`${blamed.length} tests went with ${died.length} JVMs`);

  const counts = new Map();
  for (const verdict of verdicts.values()) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  console.log(table(['verdict', 'tests'], [...counts].sort()));
  const kinds = new Map();
  for (const [test, verdict] of verdicts) {
    if (!['failed', 'errored', 'lost'].includes(verdict)) continue;
    const kind = thrown.get(test)?.kind || verdict;
    kinds.set(kind, [...(kinds.get(kind) ?? []), `${test}: ${thrown.get(test)?.message.split('\n')[0] ?? ''}`]);
  }
  for (const [kind, tests] of kinds) {
    console.log(`\n${kind}: ${tests.length}`);
    for (const test of tests.slice(0, 20)) console.log(`  ${test.slice(0, 220)}`);
  }
  for (const what of broken) console.log(what);
  const left = await run.left();
  for (const what of left) console.log(`left behind: ${what}`);
  console.log(`tests=${verdicts.size} seconds=${seconds(wall)} jvmsEnded=${died.length} blamed=${blamed.length} addressInUse=${taken} broken=${broken.length + left.length}`);
  status = taken + broken.length + left.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`ports-drill: ${error.stack}`);
} finally {
  ground.cleanUp();
}
process.exit(status);
