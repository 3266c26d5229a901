// Runs a prepared request quietly once and then under each fault, and shows a table. Started by tests/fault-drill.
//
//   node drill.mjs REQUEST PROGRAMS [EXPECTED] [--backend B] [--seconds-between N] [--short] [--seed N] [--fault WORD]
//
// EXPECTED is a table of tests whose verdict in the quiet run is known; all others pass there.

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { FAULTS as OF_PROCESSES, killCoordinator } from './faults.mjs';
import { random, seconds, spread, table } from './figures.mjs';
import { Ground } from './ground.mjs';
import { timesToElsewhere } from './journal.mjs';
import { judge, thrownOf } from './judge.mjs';
import * as kubernetes from './kubernetes.mjs';

/** Faults of the short form. */
const SHORT = ['JVM killed', 'coordinator killed, resumed', 'agent killed', 'pod evicted', 'connections cut'];
/** How often each of them strikes at most. */
const SHORT_STRIKES = 3;
/** How many broken promises are shown of each row. */
const SHOWN = 10;

const { values: options, positionals: [request, programs, expected] } = parseArgs({
  allowPositionals: true,
  options: {
    backend: { type: 'string', default: 'local' },
    'seconds-between': { type: 'string', default: '3' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    fault: { type: 'string', default: '' },
  },
});
const between = Number(options['seconds-between']);
const seed = Number(options.seed);
if (!(between > 0) || !Number.isInteger(seed)) {
  console.error('fault-drill: --seconds-between is a number above 0, --seed a whole one');
  process.exit(2);
}
/** What the short form asks of tests that take long on purpose. */
const environment = options.short ? { DRILL_PRINT_BYTES: '50000000' } : {};
const inCluster = options.backend === 'kubernetes';
const FAULTS = inCluster ? kubernetes.FAULTS : OF_PROCESSES;
const ground = new Ground({
  name: 'fault-drill', request, programs,
  choose: (chosen) => {
    chosen.backend = options.backend;
    if (inCluster) kubernetes.choose(chosen);
    if (options.short && chosen.run.timeouts.testMs) chosen.run.timeouts.testMs = 15_000;
  },
});

/** How the quiet run differs from what its tests are made for. */
function unexpected({ verdicts, events }) {
  if (!expected || !existsSync(expected)) return [];
  const [, ...rows] = readFileSync(expected, 'utf8').trim().split('\n').map((line) => line.split('\t'));
  const wanted = new Map(rows.map(([test, verdict, kind]) => [test, { verdict, kind }]));
  const thrown = thrownOf(events);
  const differences = [];
  for (const [key, verdict] of verdicts) {
    const test = key.slice(key.indexOf(' ') + 1);
    const want = wanted.get(test) ?? { verdict: 'passed', kind: '' };
    wanted.delete(test);
    const [{ kind, message }] = thrown.get(key) ?? [{ kind: '', message: '' }];
    if (verdict !== want.verdict || kind !== want.kind) {
      differences.push(`${test}: ${verdict} (${kind || 'nothing thrown'} ${message.split('\n')[0]}), expected ${want.verdict} (${want.kind || 'nothing thrown'})`);
    }
  }
  return [...differences, ...[...wanted.keys()].map((test) => `${test} did not run`)];
}

/** Strikes again and again until the run ends; says how often, and how many tests were in flight when coordinators died. */
async function strikeUntilEnd(run, fault, chance) {
  let strikes = 0;
  let flying = 0;
  const struckAt = [];
  const left = []; // what a killed coordinator left 5 s later
  // The first strike comes somewhere in the first half, so that the shortest run is met, too.
  const share = 0.05 + chance() * 0.45;
  const met = await run.until((events) =>
    events.length > 0 && events.filter(({ type }) => type === 'testVerdict').length >= share * events[0].tests);
  const most = options.short ? Math.min(SHORT_STRIKES, fault.most) : fault.most;
  while (met && run.isRunning && strikes < most) {
    if (fault.kills === 'coordinator') {
      const running = await killCoordinator(run);
      if (running === undefined) break;
      flying += running;
      strikes += 1;
      left.push(...await run.left());
      run.start('--resume', ...(fault.args ?? []));
      // So that there is something in flight again.
      await run.until((events) => {
        const resumed = events.findLastIndex(({ type }) => type === 'runResumed');
        return events.filter(({ type }) => type === 'runResumed').length === strikes && events.slice(resumed).some(({ type }) => type === 'testStarted');
      });
    } else {
      const at = Date.now();
      if (!await fault.strike(run, chance)) {
        await Promise.race([run.ended, sleep(50)]); // nobody to strike at the moment
        continue;
      }
      strikes += 1;
      struckAt.push(at);
    }
    await Promise.race([run.ended, sleep((0.5 + chance()) * between * 1_000)]);
  }
  return { strikes, struckAt, flying, left };
}

async function underFault(fault, quiet, number) {
  const name = `fault-${number}`;
  const chance = random(seed + number);
  const disk = ground.folder(`${name}-disk`);
  // Before the run, whose processes end first then.
  if (fault.tidy) ground.atEnd(() => fault.tidy(disk));
  const run = ground.run(name, { environment, ...(fault.prepare && { temp: fault.prepare(disk) }) });
  const from = Date.now();
  run.start(...(fault.args ?? []));
  const { strikes, struckAt, flying, left } = await strikeUntilEnd(run, fault, chance);
  const came = await ground.awaitEnd(run, quiet.wall);
  const wall = Date.now() - from;
  const elsewhere = spread(timesToElsewhere(run.journal(), struckAt));
  const judged = judge({ quiet: quiet.verdicts, run, named: fault.named });
  if (inCluster) left.push(...await kubernetes.left(run));
  const broken = [...judged.broken, ...[...left, ...await run.left()].map((what) => `left behind: ${what}`)];
  if (!came) broken.unshift('the run did not end');
  if (strikes === 0) broken.push('the fault never struck: the run was over before');
  // Tests that run are struck with their worker, or with the coordinator.
  const most = flying + judged.struck;
  if (judged.again > most) broken.push(`${judged.again} tests were started twice, ${most} were in flight`);
  if (broken.length > 0) console.log(run.log().split('\n').slice(-30).join('\n'));
  run.remove();
  return { strikes, wall, ...judged, flying: most, elsewhere, broken };
}

let status = 1;
try {
  console.log(`seed ${seed}`);
  const quiet = await ground.quiet({ environment });
  quiet.broken.push(...unexpected(quiet));
  const all = quiet.verdicts.size;
  const rows = [['none', '-', seconds(quiet.wall), `${all} of ${all}`, '-', '-', '-', '-', quiet.broken.length === 0 ? 'holds' : 'BROKEN']];
  const problems = quiet.broken.map((what) => ['none', what]);
  for (const [number, fault] of FAULTS.entries()) {
    if ((options.short && !SHORT.includes(fault.name)) || !fault.name.includes(options.fault)) continue;
    const refused = fault.refused?.();
    if (refused) {
      rows.push([fault.name, '-', '-', '-', '-', '-', '-', '-', 'not done']);
      console.log(`${fault.name}: not done: ${refused}`);
      continue;
    }
    const row = await underFault(fault, quiet, number);
    rows.push([fault.name, row.strikes, seconds(row.wall), `${row.equal} of ${all}`, row.faults.length + (row.givenUp > 0 ? ` (${row.givenUp} units given up)` : ''), row.again, row.flying, row.elsewhere, row.broken.length === 0 ? 'holds' : 'BROKEN']);
    console.log(`${fault.name}: ${rows.at(-1).at(-1)}`);
    problems.push(...row.broken.slice(0, SHOWN).map((what) => [fault.name, what]));
    if (row.broken.length > SHOWN) problems.push([fault.name, `and ${row.broken.length - SHOWN} more`]);
  }
  console.log(`\n${table(['fault', 'struck', 'seconds', 'equal verdicts', 'named faults', 'started twice', 'in flight', 'seconds to elsewhere', 'promises'], rows)}`);
  for (const [name, what] of problems) console.log(`${name}: ${what}`);
  console.log(`faults=${rows.length - 1} notDone=${rows.filter((row) => row.at(-1) === 'not done').length} broken=${problems.length} seed=${seed}`);
  status = problems.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`fault-drill: ${error.stack}`);
} finally {
  ground.cleanUp();
}
process.exit(status);
