// Kills the coordinator at random points of runs and goes on with each. Started by tests/resume-drill.
//
//   node resume.mjs REQUEST PROGRAMS [--times N] [--per-run N] [--seed N] [--workers N] [--elsewhere]

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { byCoordinator, killCoordinator } from './faults.mjs';
import { random, seconds, table } from './figures.mjs';
import { Ground } from './ground.mjs';
import { inFlight, testKey } from './journal.mjs';
import { judge } from './judge.mjs';

const { values: options, positionals: [request, programs] } = parseArgs({
  allowPositionals: true,
  options: {
    times: { type: 'string', default: '10' },
    'per-run': { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    workers: { type: 'string', default: '2' },
    elsewhere: { type: 'boolean', default: false },
  },
});
const [times, perRun, seed, workers] = [options.times, options['per-run'], options.seed, options.workers].map(Number);
if (![times, perRun, seed, workers].every(Number.isInteger) || times < 1 || perRun < 1 || workers < 1) {
  console.error('resume-drill: --times, --per-run and --workers are whole numbers from 1, --seed is a whole number');
  process.exit(2);
}

/** Tells which part of all work (0 to 1) these events have behind them, by how long each test took in the quiet run. */
function progressBy(quietEvents) {
  const took = new Map();
  for (const { type, test, slice, finished } of quietEvents) {
    if (type === 'testFinished') took.set(testKey(test, slice), finished.durationUs);
  }
  const all = [...took.values()].reduce((sum, duration) => sum + duration, 0);
  return (events) => {
    const done = events.filter(({ type }) => type === 'testFinished');
    return done.reduce((sum, { test, slice }) => sum + (took.get(testKey(test, slice)) ?? 0), 0) / all;
  };
}

/** So often a run may be over before it is struck. */
const MISSES = 3;

const percent = (part) => `${Math.round(100 * part)} %`;

/** One run whose coordinator is killed when these parts of the work are done. */
async function killAt(points, number, quiet, progress) {
  const run = ground.run(`run-${number}`);
  const [broken, verdicts, flying] = [[], [], []];
  let missed = false;
  const from = Date.now();
  run.start();
  for (const point of points) {
    await run.until((events) => events.length > 0 && progress(events) >= point);
    if (options.elsewhere) await run.until(() => isShared(run.id));
    const running = await killCoordinator(run);
    if (running === undefined) {
      missed = true;
      break;
    }
    flying.push(running);
    verdicts.push(run.journal().filter(({ type }) => type === 'testVerdict').length);
    broken.push(...(await run.left()).map((what) => `left behind by the killed coordinator: ${what}`));
    // Another machine has nothing of the run but what is shared.
    if (options.elsewhere) run.forget();
    run.start('--resume');
  }
  if (!await ground.awaitEnd(run, quiet.wall)) broken.push('the resumed run did not end');
  const wall = Date.now() - from;
  const judged = judge({ quiet: quiet.verdicts, run, named: byCoordinator });
  broken.push(...judged.broken, ...(await run.left()).map((what) => `left behind: ${what}`));
  // By the record that came along, which lacks the last seconds before each kill.
  const journal = run.journal();
  const cuts = journal.flatMap(({ type }, at) => (type === 'runResumed' ? [at] : []));
  const most = options.elsewhere
    ? cuts.reduce((sum, at) => sum + inFlight(journal.slice(0, at)).size, 0)
    : flying.reduce((sum, count) => sum + count, 0);
  if (judged.again > most) broken.push(`${judged.again} tests were started twice, ${most} were in flight`);
  if (broken.length > 0) console.log(run.log().split('\n').slice(-30).join('\n'));
  run.remove();
  return { ...judged, broken, missed, verdicts, flying, wall };
}

function choose(chosen) {
  chosen.workers = workers;
  if (!options.elsewhere) return;
  const location = ground.folder('shared-history');
  chosen.history = { location, branch: 'main', fallbackBranch: 'main', publish: true, expireDays: 1, journal: true };
}

/** Whether another machine finds that something happened in this run. */
function isShared(id) {
  const folder = ground.folder('shared-history');
  const head = existsSync(folder) ? readdirSync(folder).find((name) => /^run-main-[0-9a-f]+$/.test(name)) : undefined;
  const { run, pieces } = head ? JSON.parse(readFileSync(join(folder, head), 'utf8')) : {};
  return run === id && pieces > 0;
}

const ground = new Ground({ name: 'resume-drill', request, programs, choose });
let status = 1;
try {
  console.log(`seed ${seed}`);
  const quiet = await ground.quiet();
  const progress = progressBy(quiet.events);
  const chance = random(seed);
  const rows = [['none', '-', '-', seconds(quiet.wall), `${quiet.verdicts.size} of ${quiet.verdicts.size}`, '-', '-']];
  const problems = quiet.broken.map((what) => `quiet run: ${what}`);
  // Anywhere, but each in a part of its own; the last test that ends is never awaited.
  const points = Array.from({ length: times }, (_, index) => Math.min((index + chance()) / times, 0.98));
  const runs = Math.ceil(times / perRun);
  let misses = 0;
  for (let number = 0; number < runs; number += 1) {
    const mine = points.filter((_, index) => index % runs === number);
    const row = await killAt(mine, number, quiet, progress);
    if (row.missed && row.broken.length === 0 && misses < MISSES) {
      // Nobody was killed: the run was faster than the drill looked. Earlier in the same part, then.
      misses += 1;
      points.splice(0, points.length, ...points.map((point) => mine.includes(point) ? point - 0.25 / times : point));
      number -= 1;
      continue;
    }
    if (row.missed) row.broken.push('the run was over before it was struck');
    rows.push([mine.map(percent).join(', '), row.verdicts.join(', '), row.flying.join(', '), seconds(row.wall), `${row.equal} of ${quiet.verdicts.size}`, row.again, row.broken.length === 0 ? 'holds' : 'BROKEN']);
    console.log(`killed at ${rows.at(-1)[0]}: ${rows.at(-1).at(-1)}, ${row.again} started twice of ${row.flying.join(' + ')} in flight`);
    problems.push(...row.broken.slice(0, 10).map((what) => `killed at ${rows.at(-1)[0]}: ${what}`));
  }
  console.log(`\n${table(['killed at', 'verdicts then', 'in flight', 'seconds', 'equal verdicts', 'started twice', 'promises'], rows)}`);
  for (const what of problems) console.log(what);
  console.log(`kills=${times} broken=${problems.length} seed=${seed}`);
  status = problems.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`resume-drill: ${error.stack}`);
} finally {
  ground.cleanUp();
}
process.exit(status);
