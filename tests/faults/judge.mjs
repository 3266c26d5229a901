// Whether a run under faults lost or invented anything, beside a quiet run of the same tests.

import { startedAgain, struckTests, testKey } from './journal.mjs';

/** Planned tests, by key, each with its unit; slices of one test are one. */
function planned(plan) {
  return new Map(plan.units.flatMap((unit) =>
    unit.tests.map(({ method, class: nested }) => [testKey({ task: unit.task, class: nested ?? unit.class, method }), unit.id])));
}

/** Units whose JVMs ended twice before any of their tests had a result: docs/run.md says that they are given up as a whole. */
function givenUp(events, tests) {
  const tries = new Map();
  for (const { type, unit, attempt } of events) if (type === 'unitAssigned') tries.set(unit, attempt);
  const withResult = new Set(events.filter(({ type, finished }) => type === 'testFinished' && finished.thrown?.[0]?.kind !== 'JvmDied')
    .map(({ test }) => tests.get(testKey(test))));
  return new Set([...tries].filter(([unit, attempts]) => attempts >= 2 && !withResult.has(unit)).map(([unit]) => unit));
}

/** Verdicts of a run by test, as its journal has them. */
export const verdictsOf = (events) =>
  new Map(events.filter(({ type }) => type === 'testVerdict').map(({ test, verdict }) => [testKey(test), verdict]));

/**
 * What the last try of each test threw: kinds and messages, one as a rule. A test of several invocations throws nothing itself:
 * then what each of those threw that failed.
 */
export function thrownOf(events) {
  const cause = ({ thrown, reason }) => ({ kind: thrown?.[0]?.kind ?? '', message: thrown?.[0]?.message ?? reason ?? '' });
  const last = new Map();
  const ofInvocations = new Map();
  for (const { type, test, slice, finished } of events) {
    if (type === 'testStarted') ofInvocations.set(testKey(test, slice), []);
    if (type === 'invocationFinished' && ['failed', 'errored'].includes(finished.outcome)) {
      ofInvocations.get(testKey(test, slice))?.push(cause(finished));
    }
    if (type !== 'testFinished') continue;
    const invocations = ofInvocations.get(testKey(test, slice)) ?? [];
    last.set(testKey(test), finished.thrown?.length > 0 || invocations.length === 0 ? [cause(finished)] : invocations);
  }
  return last;
}

/**
 * @param quiet verdicts of the quiet run
 * @param run a run that came to its end
 * @param named tells whether what a test threw is named by the fault
 * @returns figures, and in `broken` every promise that was not kept, in words
 */
export function judge({ quiet, run, named }) {
  const events = run.journal();
  const summary = run.summary();
  const broken = [];
  const tests = planned(run.plan());
  if (!events.some(({ type }) => type === 'runFinished')) broken.push('the journal has no end');
  if (!summary?.finished) broken.push('summary.json is not of a run that came to its end');

  const told = new Map();
  for (const { type, test } of events) {
    if (type === 'testVerdict') told.set(testKey(test), (told.get(testKey(test)) ?? 0) + 1);
  }
  const shown = new Map((summary?.tests ?? []).map((test) => [testKey(test), test.verdict]));
  if (shown.size !== (summary?.tests ?? []).length) broken.push('summary.json has a test twice');
  const verdicts = verdictsOf(events);
  for (const test of tests.keys()) {
    if (told.get(test) !== 1) broken.push(`${test} has ${told.get(test) ?? 0} verdicts in the journal`);
    if (shown.get(test) !== verdicts.get(test)) broken.push(`${test}: ${shown.get(test)} in summary.json, ${verdicts.get(test)} in the journal`);
  }

  const thrown = thrownOf(events);
  const ends = struckTests(events);
  const again = startedAgain(events);
  const struck = new Set(ends.flatMap((end) => end.tests.map(({ test }) => test)));
  for (const end of ends) {
    const units = new Set(end.tests.map(({ unit }) => unit));
    if (units.size > 1) broken.push(`the end of a JVM of worker ${end.worker} met ${units.size} units`);
  }
  const abandoned = givenUp(events, tests);
  const faults = [];
  for (const [test, verdict] of verdicts) {
    if (verdict === quiet.get(test)) continue;
    const causes = thrown.get(test) ?? [{ kind: '', message: '' }];
    const about = { verdict, wasRunning: struck.has(test) || abandoned.has(tests.get(test)), wasAgain: again.includes(test), isPlanned: tests.has(test) };
    const other = causes.find((cause) => !named({ ...about, ...cause }));
    if (other) {
      broken.push(`${test}: ${verdict} (${other.kind || 'nothing thrown'} ${other.message.split('\n')[0]}), quietly ${quiet.get(test) ?? 'not there'}`);
    } else {
      faults.push(test);
    }
  }
  for (const test of quiet.keys()) {
    if (!verdicts.has(test)) broken.push(`${test} has no verdict`);
  }
  return { tests: tests.size, equal: [...quiet].filter(([test, verdict]) => verdicts.get(test) === verdict).length, faults, again: again.length, struck: ends.reduce((sum, end) => sum + end.tests.length, 0), givenUp: abandoned.size, broken };
}
