// Where the wall time of a run went, from its summary.json.
//
//   node where-time-goes.mjs SUMMARY WALL_SECONDS

import { readFileSync } from 'node:fs';

const [file, wall] = process.argv.slice(2);
const summary = JSON.parse(readFileSync(file, 'utf8'));
const s = (ms) => `${(ms / 1000).toFixed(2)} s`;
const inTests = summary.tests.reduce((sum, test) => sum + test.durationUs, 0) / 1000;
console.log(`where the last ${wall} s of runParallel went:`);
console.log(`  around the run (Gradle, discovery, planning, reports): ${s(wall * 1000 - summary.wallMs)}`);
console.log(`  the run: ${s(summary.wallMs)}, of which`);
for (const worker of summary.workers) {
  console.log(`    worker ${worker.number}: agent ready after ${s(worker.readyAfterMs ?? 0)}, busy ${s(worker.busyMs)}, `
    + `${worker.units} units, ${worker.jvmStarts} JVM starts`);
}
console.log(`  inside tests, all workers: ${s(inTests)}`);
