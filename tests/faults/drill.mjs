// Runs a prepared request quietly once and then under each fault, and shows a table. Started by tests/fault-drill.
//
//   node drill.mjs REQUEST PROGRAMS [--backend B] [--seconds-between N] [--short] [--seed N] [--fault WORD]

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { FAULTS, killCoordinator } from './faults.mjs';
import { judge, verdictsOf } from './judge.mjs';
import { random, table } from './figures.mjs';
import { Run } from './run.mjs';

/** Faults of the short form. */
const SHORT = ['JVM killed', 'agent killed', 'coordinator killed, resumed', 'agent paused for longer than its lease'];
/** How many broken promises are shown of each row. */
const SHOWN = 10;

const { values: options, positionals: [requestFile, programsFolder] } = parseArgs({
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
const programs = resolve(programsFolder);
const base = JSON.parse(readFileSync(requestFile, 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'fault-drill-'));
const cleanUps = new Set();

function cleanUp() {
  for (const step of cleanUps) step();
  cleanUps.clear();
  rmSync(work, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    cleanUp();
    process.exit(130);
  });
}

const runOf = (name, extra = {}) =>
  new Run({ folder: join(work, name), base, programs, shared: join(work, 'shared'), options: (chosen) => { chosen.backend = options.backend; }, ...extra });

async function quietRun() {
  const run = runOf('quiet');
  cleanUps.add(() => run.remove());
  const from = Date.now();
  run.start();
  const exit = await run.ended;
  const events = run.journal();
  if (!events.some(({ type }) => type === 'runFinished')) {
    throw new Error(`the quiet run did not come to its end (exit ${exit}):\n${run.log()}`);
  }
  const quiet = verdictsOf(events);
  const { broken } = judge({ quiet, run, named: () => false });
  const left = await run.left();
  return { quiet, wall: Date.now() - from, broken: [...broken, ...left.map((what) => `left behind: ${what}`)] };
}

/** Strikes again and again until the run ends; says how often, and how many tests were in flight when coordinators died. */
async function strikeUntilEnd(run, fault, chance) {
  let strikes = 0;
  let flying = 0;
  let forgotten = []; // what a killed coordinator left 5 s later
  // The first strike comes somewhere in the first half, so that the shortest run is met, too.
  const share = 0.05 + chance() * 0.45;
  const met = await run.until((events) =>
    events.length > 0 && events.filter(({ type }) => type === 'testVerdict').length >= share * events[0].tests);
  while (met && run.isRunning && strikes < fault.most) {
    if (fault.kills === 'coordinator') {
      const running = await killCoordinator(run);
      if (running === undefined) break;
      flying += running;
      strikes += 1;
      forgotten.push(...await run.left());
      run.start('--resume', ...(fault.args ?? []));
    } else if (await fault.strike(run, chance)) {
      strikes += 1;
    }
    await Promise.race([run.ended, sleep((0.5 + chance()) * between * 1_000)]);
  }
  return { strikes, flying, forgotten };
}

async function underFault(fault, quiet, number) {
  const folder = join(work, `fault-${number}`);
  const chance = random(seed + number);
  const tidy = () => fault.tidy?.(folder);
  cleanUps.add(tidy);
  const run = runOf(`fault-${number}`, fault.prepare && { temp: fault.prepare(folder) });
  const remove = () => run.remove();
  cleanUps.delete(tidy);
  cleanUps.add(remove).add(tidy); // processes first, then their disk
  const from = Date.now();
  run.start(...(fault.args ?? []));
  const { strikes, flying, forgotten } = await strikeUntilEnd(run, fault, chance);
  await run.ended;
  const wall = Date.now() - from;
  const judged = judge({ quiet, run, named: fault.named });
  const broken = [...judged.broken, ...[...forgotten, ...await run.left()].map((what) => `left behind: ${what}`)];
  if (strikes === 0) broken.push('the fault never struck: the run was over before');
  const most = fault.kills === 'coordinator' ? flying : judged.struck;
  if (judged.again > most) broken.push(`${judged.again} tests were started twice, ${most} were in flight`);
  if (broken.length > 0) console.log(run.log().split('\n').slice(-30).join('\n'));
  remove();
  tidy();
  cleanUps.delete(remove);
  cleanUps.delete(tidy);
  return { strikes, wall, ...judged, flying: most, broken };
}

let status = 1;
try {
  console.log(`seed ${seed}`);
  const { quiet, wall, broken } = await quietRun();
  const rows = [['none', '-', seconds(wall), `${quiet.size} of ${quiet.size}`, '-', '-', '-', broken.length === 0 ? 'holds' : 'BROKEN']];
  const problems = broken.map((what) => ['none', what]);
  const wanted = FAULTS.filter(({ name }) => (!options.short || SHORT.includes(name)) && name.includes(options.fault));
  for (const [number, fault] of wanted.entries()) {
    const refused = fault.refused?.();
    if (refused) {
      rows.push([fault.name, '-', '-', '-', '-', '-', '-', 'not done']);
      console.log(`${fault.name}: not done: ${refused}`);
      continue;
    }
    console.log(`${fault.name} ...`);
    const row = await underFault(fault, quiet, number);
    rows.push([fault.name, row.strikes, seconds(row.wall), `${row.equal} of ${quiet.size}`, row.faults.length, row.again, row.flying, row.broken.length === 0 ? 'holds' : 'BROKEN']);
    problems.push(...row.broken.slice(0, SHOWN).map((what) => [fault.name, what]));
    if (row.broken.length > SHOWN) problems.push([fault.name, `and ${row.broken.length - SHOWN} more`]);
  }
  console.log(`\n${table(['fault', 'struck', 'seconds', 'equal verdicts', 'named faults', 'started twice', 'in flight', 'promises'], rows)}`);
  for (const [name, what] of problems) console.log(`${name}: ${what}`);
  console.log(`faults=${rows.length - 1} notDone=${rows.filter((row) => row.at(-1) === 'not done').length} broken=${problems.length} seed=${seed}`);
  status = problems.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`fault-drill: ${error.stack}`);
} finally {
  cleanUp();
}
process.exit(status);

function seconds(milliseconds) {
  return (milliseconds / 1_000).toFixed(1);
}
