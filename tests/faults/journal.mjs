// What a run's journal says. Format: docs/resuming.md.

import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';

/** Bytes before the JSON of a line: a checksum of eight hex digits and a blank. */
const PREFIX = 9;

/** One line per test, and per slice of it where there are several. */
export const testKey = (test, slice) => `${test.task} ${test.class} > ${test.method}${slice === undefined ? '' : ` slice ${slice}`}`;

function parse(line) {
  try {
    return JSON.parse(line.slice(PREFIX));
  } catch {
    return undefined; // the torn end that a killed writer leaves; a resumed run cuts it off
  }
}

const eventsIn = (text) => text.split('\n').filter((line) => line !== '').map(parse).filter((event) => event?.type !== undefined);

/** All events of a journal, in order; none when there is no file yet. */
export const readJournal = (file) => existsSync(file) ? eventsIn(readFileSync(file, 'utf8')) : [];

/** Reads what is added to a journal while it is written. */
export class JournalTail {
  #file;
  #at = 0;
  #rest = Buffer.alloc(0);

  constructor(file) {
    this.#file = file;
  }

  /** Events whose lines came to their end since the last call. */
  next() {
    if (!existsSync(this.#file)) return [];
    const handle = openSync(this.#file, 'r');
    try {
      const parts = [this.#rest];
      for (;;) {
        const part = Buffer.alloc(1 << 20);
        const count = readSync(handle, part, 0, part.length, this.#at);
        if (count === 0) break;
        this.#at += count;
        parts.push(part.subarray(0, count));
      }
      const bytes = Buffer.concat(parts);
      const end = bytes.lastIndexOf(0x0a) + 1;
      this.#rest = bytes.subarray(end);
      return eventsIn(bytes.subarray(0, end).toString('utf8'));
    } finally {
      closeSync(handle);
    }
  }
}

/** Tests that were running at the end of these events, with the event that started each. */
export function inFlight(events) {
  const running = new Map();
  for (const event of events) {
    if (event.type === 'testStarted') running.set(testKey(event.test, event.slice), event);
    if (event.type === 'testFinished') running.delete(testKey(event.test, event.slice));
    if (event.type === 'testVerdict') {
      // The verdict is of all slices.
      for (const [key, start] of running) if (testKey(start.test) === testKey(event.test)) running.delete(key);
    }
  }
  return running;
}

/**
 * The tests of all starts beyond the first of each. The one that is started once more because the end of its unit was
 * not seen (docs/run.md) does not count: what was in flight there was that end.
 */
export function startedAgain(events) {
  const started = new Set();
  const unseen = new Set(); // units
  const again = [];
  for (const { type, test, slice, unit, unseen: isUnseen } of events) {
    if (type === 'unitFinished' && isUnseen) unseen.add(unit);
    if (type !== 'testStarted') continue;
    const key = testKey(test, slice);
    if (started.has(key) && !unseen.delete(unit)) again.push(testKey(test));
    started.add(key);
  }
  return again;
}

/**
 * What the ends of JVMs and workers took with them: for each such end the tests that were running there, each with its unit.
 */
export function struckTests(events) {
  const running = new Map();
  const ends = [];
  const leaving = new Set(); // workers that were told to end, and give back what they could not bring to its end
  for (const event of events) {
    if (event.type === 'workerStarted') leaving.delete(event.worker);
    if (event.type === 'workerLeaving') leaving.add(event.worker);
    if (event.type === 'testStarted') {
      running.set(testKey(event.test, event.slice), { test: testKey(event.test), unit: event.unit, worker: event.worker });
    } else if (event.type === 'jvmDied' || (event.type === 'workerEnded' && (event.failure || leaving.has(event.worker)))) {
      const there = [...running].filter(([, { worker }]) => worker === event.worker);
      ends.push({ type: event.type, worker: event.worker, tests: there.map(([, test]) => test) });
      for (const [key] of there) running.delete(key);
    } else if (event.type === 'runResumed') {
      running.clear(); // they went with the coordinator
    } else if (event.type === 'testFinished') {
      running.delete(testKey(event.test, event.slice));
    }
  }
  return ends;
}

/**
 * For each strike, how long it took from then until the unit that was running at the struck worker ran elsewhere, in
 * milliseconds. Strikes that met no running unit tell nothing.
 */
export function timesToElsewhere(events, strikes) {
  const times = [];
  for (const [number, at] of strikes.entries()) {
    const next = strikes[number + 1] ?? Infinity;
    const running = new Map(); // by worker: the unit and its try
    let struck;
    for (const { type, worker, unit, attempt, failure, atMs } of events) {
      if (struck) {
        if (type === 'testStarted' && unit === struck.unit && attempt > struck.attempt) {
          times.push(atMs - at);
          break;
        }
        continue;
      }
      if (atMs > next) break;
      if (type === 'testStarted') running.set(worker, { unit, attempt });
      const ends = type === 'jvmDied' || type === 'workerLeaving' || (type === 'workerEnded' && failure);
      if (ends && atMs >= at) struck = running.get(worker);
      if (type === 'unitFinished' && running.get(worker)?.unit === unit) running.delete(worker);
    }
  }
  return times;
}

/** Process ids, of JVMs and of the agents above them, of workers whose live JVM has finished a test. */
export function warmProcesses(events) {
  const agents = new Map(); // by worker
  const live = new Map();
  for (const { type, worker, pid } of events) {
    if (type === 'workerReady') agents.set(worker, pid);
    if (type === 'jvmStarted') live.set(worker, { jvm: pid, warm: false });
    if (type === 'jvmDied' || type === 'workerEnded' || type === 'runResumed') live.delete(worker);
    if (type === 'testFinished' && live.has(worker)) live.get(worker).warm = true;
  }
  const warm = [...live].filter(([, { warm: isWarm }]) => isWarm);
  return { jvms: new Set(warm.map(([, { jvm }]) => jvm)), agents: new Set(warm.map(([worker]) => agents.get(worker))) };
}
