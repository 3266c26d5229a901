// What bench/discovery measures; see there. `node bench/discovery.mjs EXAMPLES FOLDER [ROUNDS]`

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listByFramework, prepare } from '../tests/discovery/suite.mjs';

const [, , examples, what, count] = process.argv;
const discover = join(examples, 'discover');

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const stateOf = (request) => JSON.parse(readFileSync(request, 'utf8')).stateDir;

/** Discovery as a process of its own: `{ processMs, discoveryMs, classes, tests, known, bytesRead, peakKb }`. */
function ours(request) {
  const started = process.hrtime.bigint();
  const { status, stderr } = spawnSync(discover, [request, '--times'], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  const processMs = Number(process.hrtime.bigint() - started) / 1e6;
  if (status !== 0) throw new Error(stderr);
  const told = Object.fromEntries(stderr.trim().split(' ').map((pair) => pair.split('=')).map(([key, value]) => [key, Number(value)]));
  return { ...told, processMs };
}

/** Without a cache, then with what that left behind. */
function coldAndUnchanged(request) {
  rmSync(stateOf(request), { recursive: true, force: true });
  const cold = ours(request);
  const unchanged = ours(request);
  if (cold.known !== 0 || unchanged.known !== 1 || unchanged.bytesRead !== 0 || unchanged.tests !== cold.tests) {
    // With classes that have to be asked about, of which nobody is asked here, no discovery is complete, so none is kept.
    throw new Error(`the second run did not find what the first one left, or the suite has classes that class files can't tell: ${JSON.stringify({ cold, unchanged })}`);
  }
  return { cold, unchanged };
}

const ms = (number) => `${number.toFixed(number < 100 ? 1 : 0)} ms`;

function suite() {
  const rounds = Number(count ?? 5);
  const prepared = prepare(what);
  // One round that does not count: compiles the oracle, fills the page cache.
  listByFramework(prepared);
  coldAndUnchanged(prepared.requestFile);
  const launcher = [];
  const engine = [];
  for (let round = 0; round < rounds; round++) {
    launcher.push(listByFramework(prepared));
    engine.push(coldAndUnchanged(prepared.requestFile));
  }
  const of = (rows, key) => median(rows.map((row) => row[key]));
  const cold = engine.map((round) => round.cold);
  const unchanged = engine.map((round) => round.unchanged);
  console.log(`${prepared.name}: ${cold[0].classes} test classes, ${cold[0].tests} tests, ${prepared.jars.length} jars, ${rounds} rounds`);
  console.log(`framework   process ${ms(of(launcher, 'processMs'))}, within it ${ms(of(launcher, 'listedMs'))}`);
  for (const [name, rows] of [['cold', cold], ['unchanged', unchanged]]) {
    const text = `process ${ms(of(rows, 'processMs'))}, within it ${ms(of(rows, 'discoveryMs'))}`;
    console.log(`${name.padEnd(11)} ${text}, ${(of(rows, 'peakKb') / 1024).toFixed(0)} MB, read ${rows[0].bytesRead} bytes to hash them`);
  }
  const ratio = (rows, key, ours) => (of(launcher, key) / of(rows, ours)).toFixed(1);
  console.log(`within the processes: cold=${ratio(cold, 'listedMs', 'discoveryMs')} unchanged=${ratio(unchanged, 'listedMs', 'discoveryMs')}`);
  console.log(`cold=${ratio(cold, 'processMs', 'processMs')} unchanged=${ratio(unchanged, 'processMs', 'processMs')}`);
}

function synthetic() {
  const folder = mkdtempSync(join(tmpdir(), 'testfleet-bench-'));
  try {
    console.log(execFileSync(join(examples, 'synthetic'), [count ?? '50000', folder], { encoding: 'utf8' }).trim());
    for (const request of ['dir.json', 'jar.json']) {
      const file = join(folder, request);
      ours(file); // fills the page cache
      const { cold, unchanged } = coldAndUnchanged(file);
      for (const [name, run] of Object.entries({ cold, unchanged })) {
        console.log(`${request.slice(0, 3)} ${name}: ${(run.processMs / 1000).toFixed(3)} s, peak ${(run.peakKb / 1024).toFixed(0)} MB, ${run.classes} test classes, ${run.tests} tests`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

(what === '--synthetic' ? synthetic : suite)();
