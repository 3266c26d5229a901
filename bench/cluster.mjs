// Measures starts and ends of runs on a cluster. Started by bench/cluster.
//
//   node cluster.mjs SUITE REQUEST PROGRAMS ROUNDS

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { table } from '../tests/faults/figures.mjs';
import { readJournal } from '../tests/faults/journal.mjs';

const [suite, request, programs, rounds] = process.argv.slice(2);
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = dirname(request);
const registry = process.env.TESTFLEET_CLUSTER_REGISTRY;
const WORKERS = 4;

const kubectl = (...args) => execFileSync('kubectl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const median = (times) => times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)];
const seconds = (milliseconds) => (milliseconds / 1_000).toFixed(2);

/** From the call until the container runs, as `kubectl` itself learns of it. */
function kubectlRun(image, number) {
  const name = `bench-${process.pid}-${number}`;
  const from = Date.now();
  kubectl('run', name, `--image=${image}`, '--restart=Never', '--image-pull-policy=IfNotPresent', '--', 'hold', '--seconds', '30');
  kubectl('wait', '--for=jsonpath={.status.phase}=Running', `pod/${name}`, '--timeout=60s');
  const time = Date.now() - from;
  kubectl('delete', 'pod', name, '--grace-period=0', '--force', '--wait=true');
  return time;
}

/** Journals of runs that are there. */
function journals() {
  const runs = join(output, 'runs');
  return existsSync(runs) ? readdirSync(runs).map((id) => join(runs, id, 'journal.jsonl')) : [];
}

/** From the call until the first test started, and from the last verdict until the command came back and nothing is left. */
async function measured(command, args) {
  const before = new Set(journals());
  const log = [];
  const from = Date.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => log.push(text));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  const exit = Date.now();
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${log.join('')}`);
  const [file] = journals().filter((journal) => !before.has(journal));
  const events = readJournal(file);
  const id = events[0].run;
  while (kubectl('get', 'jobs,pods,secrets', '-l', `dev.testfleet/run=${id}`, '-o', 'name').trim() !== '') await sleep(100);
  const gone = Date.now();
  const first = events.find(({ type }) => type === 'testStarted').atMs;
  const finished = events.findLast(({ type }) => type === 'runFinished').atMs;
  return { first: first - from, exit: exit - finished, gone: gone - finished, id };
}

const gradle = (...args) => [join(root, 'gradlew'), ['-q', '--console=plain', '-p', join(root, 'tests/suites'), `-Psuite=${suite}`,
  `-Ptestfleet.nativeProfile=${process.env.PROFILE}`, `-PimageRegistry=${registry}`, '--configuration-cache', ...args]];
const runParallel = () => measured(...gradle('runParallel', '--rerun', '--backend', 'kubernetes', '--workers', String(WORKERS)));

// What does not count: the image is pushed and pulled, the daemon gets warm.
await runParallel();
const chosen = join(output, 'bench-request.json');
const asked = JSON.parse(readFileSync(request, 'utf8'));
asked.options.backend = 'kubernetes';
asked.options.workers = WORKERS;
asked.options.image.name = `${registry}/${basename(dirname(output))}`;
asked.options.image.registry.insecure = [registry];
writeFileSync(chosen, JSON.stringify(asked));
try {
  const runCommand = () => measured(join(programs, 'testfleet'), ['run', '--rerun', '--request', chosen]);
  await runCommand();
  const [image] = JSON.parse(readFileSync(join(asked.reportsDir, 'summary.json'), 'utf8')).images;
  const rows = [];
  for (let round = 1; round <= Number(rounds); round += 1) {
    const theirs = kubectlRun(image, round);
    const ours = await runParallel();
    const command = await runCommand();
    rows.push([theirs, ours.first, command.first, ours.first - theirs, command.first - theirs, command.exit, ours.gone]);
  }
  const medians = rows[0].map((_, column) => median(rows.map((row) => row[column])));
  console.log(table(['round', 'kubectl run', 'first test, Gradle', 'first test, testfleet', 'Gradle beyond', 'testfleet beyond', 'end to exit', 'end to nothing left'],
    [...rows, medians].map((row, number) => [number < rows.length ? number + 1 : 'median', ...row.map(seconds)])));
  const [theirs, ours, command, beyond, , , gone] = medians.map(seconds);
  console.log(`kubectlRun=${theirs} gradle=${ours} command=${command} beyond=${beyond} teardown=${gone}`);
} finally {
  rmSync(chosen, { force: true });
}
