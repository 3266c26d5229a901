// Kills the coordinator at random points of runs and goes on with each. Started by tests/resume-drill.
//
//   node resume.mjs REQUEST PROGRAMS [--times N] [--seed N] [--workers N]

import { parseArgs } from 'node:util';
import { killCoordinator } from './faults.mjs';
import { random, seconds, table } from './figures.mjs';
import { Ground } from './ground.mjs';
import { testKey } from './journal.mjs';
import { judge } from './judge.mjs';

const { values: options, positionals: [request, programs] } = parseArgs({
  allowPositionals: true,
  options: {
    times: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    workers: { type: 'string', default: '2' },
  },
});
const [times, seed, workers] = [options.times, options.seed, options.workers].map(Number);
if (![times, seed, workers].every(Number.isInteger) || times < 1 || workers < 1) {
  console.error('resume-drill: --times and --workers are whole numbers from 1, --seed is a whole number');
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

const ground = new Ground({ name: 'resume-drill', request, programs, choose: (chosen) => { chosen.workers = workers; } });
let status = 1;
try {
  console.log(`seed ${seed}`);
  const quiet = await ground.quiet();
  const progress = progressBy(quiet.events);
  const chance = random(seed);
  const rows = [['none', '-', '-', seconds(quiet.wall), `${quiet.verdicts.size} of ${quiet.verdicts.size}`, '-', '-']];
  const problems = quiet.broken.map((what) => `quiet run: ${what}`);
  for (let number = 1; number <= times; number += 1) {
    // Anywhere, but each in a part of its own.
    const point = (number - 1 + chance()) / times;
    const run = ground.run(`kill-${number}`);
    const from = Date.now();
    run.start();
    // The last test that ends is never awaited.
    await run.until((events) => events.length > 0 && progress(events) >= Math.min(point, 0.98));
    const before = run.journal();
    const flying = await killCoordinator(run);
    const broken = [];
    if (flying === undefined) broken.push('the run was over before it was struck');
    broken.push(...(await run.left()).map((what) => `left behind by the killed coordinator: ${what}`));
    if (flying !== undefined) {
      run.start('--resume');
      if (!await ground.awaitEnd(run, quiet.wall)) broken.push('the resumed run did not end');
    }
    const wall = Date.now() - from;
    const judged = judge({ quiet: quiet.verdicts, run, named: () => false });
    broken.push(...judged.broken, ...(await run.left()).map((what) => `left behind: ${what}`));
    if (judged.again > flying) broken.push(`${judged.again} tests were started twice, ${flying} were in flight`);
    const had = before.filter(({ type }) => type === 'testVerdict').length;
    rows.push([`${Math.round(100 * point)} %`, had, flying ?? '-', seconds(wall), `${judged.equal} of ${quiet.verdicts.size}`, judged.again, broken.length === 0 ? 'holds' : 'BROKEN']);
    console.log(`killed at ${Math.round(100 * point)} %: ${rows.at(-1).at(-1)}`);
    problems.push(...broken.slice(0, 10).map((what) => `killed at ${Math.round(100 * point)} %: ${what}`));
    if (broken.length > 0) console.log(run.log().split('\n').slice(-30).join('\n'));
    run.remove();
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
