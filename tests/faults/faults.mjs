// The faults that the drill strikes with.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inFlight, warmProcesses } from './journal.mjs';
import { signal } from './run.mjs';

/** Seconds of silence after which a worker is given up in these runs. */
const LEASE = 3;
/** Size of the small disk; a JVM and its agent need a few hundred kilobytes of it. */
const SMALL_DISK = 8 << 20;

/** Errored because its JVM was killed while it ran; or the class that was just ending then, which is no planned test. */
export const byJvm = ({ verdict, kind, wasRunning, isPlanned }) => verdict === 'errored' && kind === 'JvmDied' && (wasRunning || !isPlanned);
/** Errored because three workers were lost while it ran: a test that is lost less often is run again. */
export const byWorker = (difference) => byTraces(difference) || difference.verdict === 'errored' && difference.kind === 'WorkerLost' && difference.wasRunning;
/** Failed by itself when it ran again: over what its first try, whose end it never saw, left in the working directory. */
export const byTraces = ({ verdict, wasAgain }) => verdict === 'failed' && wasAgain;
/** What a coordinator's death may lead to. */
export const byCoordinator = byTraces;
export const nothing = () => false;

export const pick = (random, list) => list[Math.floor(random() * list.length)];

function mayRun(command, args) {
  const tried = spawnSync(command, args, { encoding: 'utf8' });
  return tried.status === 0 ? undefined : `${command} is not permitted here: ${(tried.stderr || tried.error?.message || '').trim()}`;
}

// Those whose JVM has finished a test: a unit that loses its JVM or worker again and again before its first result is given up
// as a whole, on purpose, and that is not what is looked for here.
const warmJvm = (run, random) => pick(random, run.jvms().filter((pid) => warmProcesses(run.journal()).jvms.has(pid)));
const warmAgent = (run, random) => pick(random, run.agents().filter((pid) => warmProcesses(run.journal()).agents.has(pid)));
const kill = (pid) => pid !== undefined && signal(pid, 'SIGKILL');

async function pause(run, random, seconds) {
  const agent = warmAgent(run, random);
  if (agent === undefined || !signal(agent, 'SIGSTOP')) return false;
  try {
    await sleep(seconds * 1_000);
  } finally {
    signal(agent, 'SIGCONT');
  }
  return true;
}

/** Sockets between the processes of a run, as `ss` shows them: local and peer addresses. */
function sockets(run) {
  const agents = run.agents();
  const shown = execFileSync('ss', ['-Htnp', 'state', 'established'], { encoding: 'utf8' });
  return shown.split('\n').filter((line) => agents.some((pid) => line.includes(`pid=${pid},`)))
    .map((line) => line.trim().split(/\s+/)).map(([, , local, peer]) => ({ local, peer }));
}

/**
 * Each: `name`; `strike(run, random)`, whether it struck; `args` of `testfleet run`; `named(difference)`, whether a verdict that
 * the quiet run does not have is the fault's own; `most`, how often it may strike; `prepare(disk)`, which gives the workers'
 * TMPDIR; `tidy(disk)`; `refused()`, why it can't be done on this machine.
 */
export const FAULTS = [
  {
    name: 'JVM killed',
    strike: (run, random) => kill(warmJvm(run, random)),
    named: byJvm,
    most: 10,
  },
  {
    name: 'agent killed',
    strike: (run, random) => kill(warmAgent(run, random)),
    named: byWorker,
    most: 3, // a worker is started again three times
  },
  {
    name: 'coordinator killed, resumed',
    kills: 'coordinator',
    named: byCoordinator,
    most: 5,
  },
  {
    name: `agent paused for less than its lease`,
    args: ['--lease', String(LEASE)],
    strike: (run, random) => pause(run, random, LEASE / 3),
    named: nothing,
    most: 5,
  },
  {
    name: `agent paused for longer than its lease`,
    args: ['--lease', String(LEASE)],
    strike: (run, random) => pause(run, random, 3 * LEASE),
    named: byWorker,
    most: 3,
  },
  {
    name: 'disk of the workers full',
    refused: () => mayRun('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']),
    prepare: (disk) => {
      mkdirSync(disk, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'none', disk]);
      return disk;
    },
    tidy: (disk) => spawnSync('umount', ['--lazy', disk], { stdio: 'ignore' }),
    strike: async (run) => {
      const ballast = join(run.temp, 'ballast');
      const { bavail, bsize } = statfsSync(run.temp);
      try {
        writeFileSync(ballast, Buffer.alloc(bavail * bsize));
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
      }
      await sleep(1_000);
      rmSync(ballast, { force: true });
      return true;
    },
    named: (difference) => difference.message.includes('No space left on device'),
    most: 10,
  },
  {
    name: 'connection cut',
    args: ['--local-connection', 'dial'],
    // To kill sockets, the kernel has to have been built for it; asked with an address that nothing has.
    refused: () => mayRun('ss', ['-K', 'dst', '192.0.2.1', 'dport', '=', '9']),
    strike: (run, random) => {
      const socket = pick(random, sockets(run));
      if (socket === undefined) return false;
      spawnSync('ss', ['-HK', 'src', socket.local, 'dst', socket.peer], { stdio: 'ignore' });
      return !sockets(run).some(({ local, peer }) => local === socket.local && peer === socket.peer);
    },
    named: nothing,
    most: 10,
  },
];

/** Kills the coordinator; returns how many tests were in flight then, by the journal. */
export async function killCoordinator(run) {
  if (!run.isRunning) return undefined;
  run.coordinator.kill('SIGKILL');
  await run.ended;
  // Not a word is added after its death.
  return inFlight(run.journal()).size;
}
