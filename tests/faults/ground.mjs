// Where a drill takes place: its folder, the runs in it, and that nothing of either is left.

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { judge, verdictsOf } from './judge.mjs';
import { Run } from './run.mjs';

/** A run that takes so many times as long as the quiet one, and five minutes more, hangs. */
const HANGS_AFTER = { times: 10, more: 300_000 };

const copyAsItIs = (from, to) => cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });

export class Ground {
  #base;
  #programs;
  #work;
  #choose;
  #cleanUps = [];
  /** Working directories of tests that the build made, each with a copy of what was in it at first. */
  #workingDirs = new Map();

  /**
   * @param request file of the request that Gradle prepared
   * @param programs folder of the programs
   * @param choose changes the options of every run
   */
  constructor({ name, request, programs, choose = () => {} }) {
    this.#base = JSON.parse(readFileSync(request, 'utf8'));
    this.#programs = resolve(programs);
    this.#choose = choose;
    this.#work = mkdtempSync(join(tmpdir(), `${name}-`));
    const made = dirname(this.#base.roots.build);
    const workingDirs = this.#base.tasks.map(({ workingDir }) => workingDir).filter((dir) => dir?.startsWith(`${made}/`));
    for (const dir of new Set(workingDirs)) {
      const copy = this.folder(`working-${this.#workingDirs.size}`);
      copyAsItIs(dir, copy);
      this.#workingDirs.set(dir, copy);
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        this.cleanUp();
        process.exit(130);
      });
    }
  }

  folder(name) {
    return join(this.#work, name);
  }

  /** To be done at the end, whatever happens; the last first. */
  atEnd(step) {
    this.#cleanUps.push(step);
  }

  run(name, extra = {}) {
    // What killed tests of an earlier run left there is no matter of this one.
    for (const [dir, copy] of this.#workingDirs) {
      rmSync(dir, { recursive: true, force: true });
      copyAsItIs(copy, dir);
    }
    const run = new Run({ folder: this.folder(name), base: this.#base, programs: this.#programs, shared: this.folder('shared'), options: this.#choose, ...extra });
    this.atEnd(() => run.remove());
    return run;
  }

  /** Runs all tests without a fault; what later runs are compared with. */
  async quiet(extra) {
    const run = this.run('quiet', extra);
    const from = Date.now();
    run.start();
    const exit = await run.ended;
    const wall = Date.now() - from;
    const events = run.journal();
    if (!events.some(({ type }) => type === 'runFinished')) {
      throw new Error(`the quiet run did not come to its end (exit ${exit}):\n${run.log()}`);
    }
    const verdicts = verdictsOf(events);
    const { broken } = judge({ quiet: verdicts, run, named: () => false });
    const left = await run.left();
    return { run, verdicts, events, wall, broken: [...broken, ...left.map((what) => `left behind: ${what}`)] };
  }

  /** Waits for the end of a run, for as long as makes sense beside the quiet one; false when it had to be ended. */
  async awaitEnd(run, quietWall) {
    let hung = false;
    const limit = setTimeout(() => {
      hung = true;
      run.coordinator.kill('SIGKILL');
    }, HANGS_AFTER.times * quietWall + HANGS_AFTER.more);
    await run.ended;
    clearTimeout(limit);
    return !hung;
  }

  cleanUp() {
    while (this.#cleanUps.length > 0) {
      try {
        this.#cleanUps.pop()();
      } catch (error) {
        console.error(`failed to clean up: ${error.message}`); // the other steps are to be tried all the same
      }
    }
    rmSync(this.#work, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
