// A run of the `testfleet` program, and the processes that belong to it.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { JournalTail, readJournal } from './journal.mjs';

const HARNESS = 'dev.testfleet.harness.Main';
/** How long processes may take to end after their run, in milliseconds: what docs/run.md promises. */
const ENDS_WITHIN = 5_000;

/** Sends a signal; false when there is no such process any more. */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

/** Names the worker's own folder in the environment of its JVM and of all that tests start. */
const FOLDER = 'TESTFLEET_FOLDER';

/** Processes whose command line names something below `folder`, or that a worker there started: pid and arguments. */
function processesOf(folder) {
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const isNamed = args.some((arg) => arg.includes(`${folder}/`));
      const isStarted = environment.some((variable) => variable.startsWith(`${FOLDER}=${folder}/`));
      if (pid !== process.pid && (isNamed || isStarted)) found.push({ pid, args });
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

export class Run {
  /** Where everything of this run is. */
  folder;
  /** TMPDIR of its workers. */
  temp;
  /** Process of the coordinator. */
  coordinator;
  /** Resolves to the coordinator's exit code, or to its signal. */
  ended;
  #programs;
  #request;
  #environment;

  /**
   * @param folder an absent folder, made here
   * @param base the request as Gradle prepared it
   * @param programs folder of the programs `testfleet` and `testfleet-agent`
   * @param shared folder for what runs learn from each other: timings
   * @param options changes `base.options`
   * @param temp TMPDIR of the workers
   */
  constructor({ folder, base, programs, shared, options = () => {}, temp = join(folder, 'tmp'), environment = {} }) {
    this.folder = folder;
    this.temp = temp;
    this.#programs = programs;
    this.#request = join(folder, 'request.json');
    this.#environment = environment;
    for (const needed of [folder, temp]) mkdirSync(needed, { recursive: true });
    const request = structuredClone(base);
    request.roots.build = join(folder, 'build');
    request.resultsDir = join(folder, 'results');
    request.reportsDir = join(folder, 'reports');
    request.timingsFile = join(shared, 'timings.json');
    request.stateDir = join(shared, 'state');
    request.roots.programs = programs;
    request.agent = join(programs, 'testfleet-agent');
    options(request.options);
    writeFileSync(this.#request, JSON.stringify(request));
  }

  /** Starts a coordinator: of a new run, or of the one that is there with `--resume`. */
  start(...args) {
    const log = openSync(join(this.folder, 'log.txt'), 'a');
    this.coordinator = spawn(join(this.#programs, 'testfleet'), ['run', '--request', this.#request, '--rerun', ...args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.#environment, TMPDIR: this.temp },
    });
    closeSync(log);
    const child = this.coordinator;
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, name) => resolve(code ?? name));
    });
    // Who awaits it hears of it; a start that failed must not end the drill before it cleaned up.
    this.ended.catch(() => {});
  }

  get isRunning() {
    return this.coordinator.exitCode === null && this.coordinator.signalCode === null;
  }

  /** The folder of the one run, once it is there. */
  get #runFolder() {
    const runs = join(this.folder, 'build', 'runs');
    const [id] = existsSync(runs) ? readdirSync(runs) : [];
    return id && join(runs, id);
  }

  /** Names it. */
  get id() {
    return basename(this.#runFolder ?? '');
  }

  get journalFile() {
    const folder = this.#runFolder;
    return folder && join(folder, 'journal.jsonl');
  }

  journal() {
    const file = this.journalFile;
    return file ? readJournal(file) : [];
  }

  /** Planned tests of the run. */
  plan() {
    return JSON.parse(readFileSync(join(this.#runFolder, 'plan.json'), 'utf8'));
  }

  summary() {
    const file = join(this.folder, 'reports', 'summary.json');
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  }

  log() {
    return readFileSync(join(this.folder, 'log.txt'), 'utf8');
  }

  agents() {
    return processesOf(this.temp).filter(({ args }) => basename(args[0]) === 'testfleet-agent').map(({ pid }) => pid);
  }

  jvms() {
    return processesOf(this.temp).filter(({ args }) => args.includes(HARNESS)).map(({ pid }) => pid);
  }

  /** Waits until `reached` is true of all events so far; false when the coordinator ended before. */
  async until(reached) {
    let tail;
    const events = [];
    for (;;) {
      const alive = this.isRunning;
      if (!tail && this.journalFile) tail = new JournalTail(this.journalFile);
      if (tail) events.push(...tail.next());
      if (reached(events)) return true;
      if (!alive) return false;
      await sleep(20);
    }
  }

  /** Waits for the end of all that the run started; returns what is left when that time is over: processes and folders. */
  async left() {
    const until = Date.now() + ENDS_WITHIN;
    let processes;
    while ((processes = processesOf(this.temp)).length > 0 && Date.now() < until) await sleep(50);
    return [
      ...processes.map(({ pid, args }) => `process ${pid}: ${args.slice(0, 8).join(' ')}`),
      ...readdirSync(this.temp).filter((name) => name.startsWith('tf-')).map((name) => `folder ${join(this.temp, name)}`),
    ];
  }

  /** Removes all that the run has on this machine. */
  forget() {
    rmSync(join(this.folder, 'build', 'runs'), { recursive: true });
  }

  /** Ends everything at once and removes the folder. */
  remove() {
    if (this.coordinator && this.isRunning) this.coordinator.kill('SIGKILL');
    for (const { pid } of processesOf(this.temp)) signal(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
