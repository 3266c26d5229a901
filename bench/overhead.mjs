// Measures what Testfleet itself costs. Started by bench/overhead.
//
//   node overhead.mjs REQUEST PROGRAMS [--short]

import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seconds, table } from '../tests/faults/figures.mjs';
import { Ground } from '../tests/faults/ground.mjs';

const [request, programs] = process.argv.slice(2);
const SLEEPERS = 25;
/** Of /proc/PID/stat, in milliseconds: `getconf CLK_TCK` is 100 on every Linux that Testfleet runs on. */
const TICK = 10;

/** CPU milliseconds of a process so far, without its children; `undefined` when it is gone. */
function cpuOf(pid) {
  try {
    // The name in parentheses may hold blanks; user and system time are the 12th and 13th field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  } catch {
    return undefined;
  }
}

/** Runs the tests that match, while it looks at the CPU time of coordinator and agents. */
async function measured(ground, name, { tests, workers, environment }) {
  const run = ground.run(name, { environment });
  run.start('--tests', tests, '--workers', String(workers));
  const coordinator = run.coordinator.pid;
  const agents = new Map();
  let [first, last] = [undefined, undefined];
  let events = 0;
  const watching = (async () => {
    while (run.isRunning) {
      for (const pid of run.agents()) {
        const cpu = cpuOf(pid);
        if (cpu !== undefined) agents.set(pid, cpu);
      }
      await sleep(100);
    }
  })();
  await run.until((all) => {
    if (all.length !== events) {
      events = all.length;
      const cpu = cpuOf(coordinator);
      if (all[0]?.type === 'runStarted') first ??= cpu;
      // Until the run is over; the reports that follow are written once, whatever the run cost.
      if (cpu !== undefined && !all.slice(0, -1).some(({ type }) => type === 'runFinished')) last = cpu;
    }
    return all.some(({ type }) => type === 'runFinished');
  });
  await run.ended;
  await watching;
  const summary = run.summary();
  if (summary?.verdict !== 'passed') throw new Error(`${name}: not all passed\n${run.log()}`);
  const journal = run.journal();
  run.remove();
  return { journal, tests: summary.tests.length, coordinatorMs: last - first, agentsMs: [...agents.values()].reduce((sum, cpu) => sum + cpu, 0) };
}

/** Mean time in milliseconds between the end of a unit's last test and the start of the next unit's first, by the JVM's own clock. */
function gapBetweenUnits(journal) {
  const last = new Map(); // by worker
  const gaps = [];
  for (const { type, worker, test, finished } of journal) {
    if (type !== 'testFinished') continue;
    const before = last.get(worker);
    if (before && before.class !== test.class) gaps.push(finished.startedAtMs - before.end);
    last.set(worker, { class: test.class, end: finished.startedAtMs + finished.durationUs / 1_000 });
  }
  // The first half warms the JVMs up.
  const warm = gaps.slice(gaps.length / 2).sort((a, b) => a - b);
  // What the machine did besides makes a few of them long.
  const middle = warm.slice(0, Math.ceil(warm.length * 0.95));
  return middle.reduce((sum, gap) => sum + gap, 0) / middle.length;
}

function fetchedAhead(journal) {
  const assigned = new Map();
  let [ahead, units] = [0, 0];
  for (const { type, worker } of journal) {
    if (type === 'unitAssigned') {
      units += 1;
      if ((assigned.get(worker) ?? 0) > 0) ahead += 1;
      assigned.set(worker, (assigned.get(worker) ?? 0) + 1);
    }
    if (type === 'unitFinished') assigned.set(worker, assigned.get(worker) - 1);
  }
  return Math.round((100 * ahead) / units);
}

const ground = new Ground({ name: 'overhead', request, programs });
let status = 1;
try {
  const load = loadavg()[0];
  // Nothing is known of its tests, so that nothing is fetched ahead; then everything is known.
  const cold = await measured(ground, 'tiny-1', { tests: 'tiny.*', workers: 2 });
  const known = await measured(ground, 'tiny-2', { tests: 'tiny.*', workers: 2 });
  const rows = [cold, known].map((one, index) => [
    index === 0 ? 'estimates are guesses' : 'estimates are known', one.tests,
    (one.coordinatorMs / one.tests).toFixed(3), (one.agentsMs / one.tests).toFixed(3), `${fetchedAhead(one.journal)} %`, gapBetweenUnits(one.journal).toFixed(3),
  ]);
  console.log(table(['empty tests, 2 workers', 'tests', 'coordinator, CPU ms per test', 'agents, CPU ms per test', 'units fetched ahead', 'ms between units'], rows));

  const gate = ground.folder('gate');
  mkdirSync(gate);
  const asleep = await measured(ground, 'sleepy', {
    tests: 'sleepy.*', workers: SLEEPERS, environment: { OVERHEAD_GATE: gate, OVERHEAD_WORKERS: String(SLEEPERS) },
  });
  const opened = Math.max(...readdirSync(gate).map((file) => statSync(join(gate, file)).mtimeMs));
  const ended = Math.max(...asleep.journal.filter(({ type }) => type === 'unitFinished').map(({ atMs }) => atMs));
  const took = ended - opened;
  const startUp = opened - asleep.journal[0].atMs;
  const ideal = Math.ceil(asleep.tests / SLEEPERS) * 1_000;
  const percent = ((100 * ideal) / took).toFixed(1);
  console.log(`\n${asleep.tests} tests that sleep 1 s, ${SLEEPERS} workers: ${seconds(took)} s from when all were ready, ${percent} % of it in tests; start-up ${seconds(startUp)} s`);
  console.log(`load at the beginning ${load.toFixed(1)}`);

  const cpu = (known.coordinatorMs + known.agentsMs) / known.tests;
  // What the JVM itself does between units is in both; a unit that is fetched ahead is waited for by nobody.
  const idle = Math.max(0, gapBetweenUnits(cold.journal) - gapBetweenUnits(known.journal));
  console.log(`cpuMsPerTest=${cpu.toFixed(3)} idleMsPerUnit=${idle.toFixed(3)} sleepSeconds=${seconds(took)} sleepPercent=${percent} startUpSeconds=${seconds(startUp)}`);
  status = 0;
} catch (error) {
  console.error(`overhead: ${error.stack}`);
} finally {
  ground.cleanUp();
}
process.exit(status);
