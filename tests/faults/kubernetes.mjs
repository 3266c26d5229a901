// The faults of a cluster, for runs whose workers are pods: kubectl, and the cluster that tests/cluster/up started.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { byCoordinator, byJvm, byTraces, byWorker, nothing, pick } from './faults.mjs';

const CLUSTER = join(dirname(fileURLToPath(import.meta.url)), '..', 'cluster');
const NAMESPACE = process.env.DRILL_NAMESPACE ?? 'default';
/** Seconds of silence after which a worker is given up in these runs. */
const LEASE = 8;
/** Until a node without power counts as not ready, and some more. */
const POWER_CUT = 25_000;
/** How long what goes with a job may take to be gone. */
const GONE_WITHIN = 20_000;

const kubectl = (args, input) => execFileSync('kubectl', ['-n', NAMESPACE, ...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
const create = (object) => kubectl(['create', '-f', '-'], JSON.stringify(object));

/** What every run of the drill is given. */
export function choose(options) {
  const registry = process.env.TESTFLEET_CLUSTER_REGISTRY;
  if (!registry) throw new Error('there is no registry: eval "$(tests/cluster/up)" says where one is');
  options.backend = 'kubernetes';
  options.workers = 4;
  options.image.name = `${registry}/drill`;
  options.image.registry.insecure = [registry];
  // So that two workers fill a node with two processors, and one of higher priority finds no room beside them.
  options.kubernetes = { namespace: NAMESPACE, requests: { cpu: '700m' }, limits: { memory: '1Gi' }, terminationGraceSeconds: 10 };
}

/** Running pods of a run that nobody ends yet. */
function pods(run) {
  const all = JSON.parse(kubectl(['get', 'pods', '-l', `dev.testfleet/run=${run.id}`, '-o', 'json'])).items;
  return all.filter(({ metadata, status }) => status.phase === 'Running' && !metadata.deletionTimestamp);
}

/** What is left of a run in the cluster once that had time to go. */
export async function left(run) {
  const until = Date.now() + GONE_WITHIN;
  for (;;) {
    const there = kubectl(['get', 'jobs,pods,secrets', '-l', `dev.testfleet/run=${run.id}`, '-o', 'name']).trim();
    if (there === '') return [];
    if (Date.now() > until) return there.split('\n').map((name) => `${name} in the cluster`);
    await sleep(200);
  }
}

function evict(pod) {
  const { name, namespace } = pod.metadata;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  return spawnSync('kubectl', ['create', '--raw', path, '-f', '-'], { input: JSON.stringify(eviction) }).status === 0;
}

function delete_(pod) {
  return spawnSync('kubectl', ['-n', NAMESPACE, 'delete', 'pod', pod.metadata.name, '--grace-period=0', '--force', '--wait=false']).status === 0;
}

/** A pod of higher priority comes, for which one of ours has to go, and ends after a while. */
async function preempt(run) {
  const [model] = pods(run);
  if (!model) return false;
  const { image } = model.spec.containers.find(({ name }) => name === 'worker');
  const [agent] = model.spec.initContainers.find(({ name }) => name === 'credentials').command;
  const urgent = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'drill-urgent' }, value: 1_000 };
  spawnSync('kubectl', ['create', '-f', '-'], { input: JSON.stringify(urgent) });
  const name = `urgent-${Date.now()}`;
  create({
    apiVersion: 'v1', kind: 'Pod', metadata: { name },
    spec: {
      priorityClassName: 'drill-urgent', restartPolicy: 'Never', terminationGracePeriodSeconds: 0,
      containers: [{
        name: 'urgent', image, command: [agent, 'hold', '--seconds', '3'], resources: { requests: { cpu: '1' } },
        securityContext: model.spec.containers[0].securityContext,
      }],
    },
  });
  try {
    const until = Date.now() + 30_000;
    const phase = () => kubectl(['get', 'pod', name, '-o', 'jsonpath={.status.phase}']);
    while (!['Succeeded', 'Failed'].includes(phase()) && Date.now() < until && run.isRunning) await sleep(200);
  } finally {
    kubectl(['delete', 'pod', name, '--wait=false']);
  }
  return true;
}

/** Control groups of the worker's container of a pod, by the controller of memory: those of the agents' processes here. */
function memoryGroups({ metadata: { uid } }) {
  const groups = new Set();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!args[0].endsWith('testfleet-agent') || !args.includes('--worker')) continue;
      const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
      const line = lines.find((text) => text.split(':')[1].split(',').includes('memory')) ?? lines.find((text) => text.startsWith('0::'));
      const path = line?.split(':').slice(2).join(':') ?? '';
      if (!path.includes(uid) && !path.includes(uid.replaceAll('-', '_'))) continue;
      groups.add(existsSync('/sys/fs/cgroup/memory') ? `/sys/fs/cgroup/memory${path}` : `/sys/fs/cgroup${path}`);
    } catch {
      // It ended while we looked.
    }
  }
  return [...groups];
}

/**
 * Memory is taken in the worker's container, by a process that the kernel spares, until the others there have been killed: the
 * JVM, then the agent.
 */
async function outOfMemory(run, random) {
  const pod = pick(random, pods(run));
  const [group] = pod ? memoryGroups(pod) : [];
  if (!group) return false;
  const program = `
    const fs = require('fs');
    fs.writeFileSync('/proc/self/oom_score_adj', '-1000');
    fs.writeFileSync(process.argv[1] + '/cgroup.procs', String(process.pid));
    const held = [];
    const until = Date.now() + 20_000;
    const more = () => { held.push(Buffer.alloc(16 << 20, 1)); if (Date.now() < until) setTimeout(more, 2); };
    more();`;
  const eater = spawn(process.execPath, ['-e', program, group], { stdio: 'ignore' });
  const ended = new Promise((resolve) => eater.once('exit', resolve));
  await Promise.race([ended, sleep(20_000)]);
  eater.kill('SIGKILL');
  return true;
}

/** Cuts all connections of the coordinator, which lead to the API server. */
function cut(run) {
  const shown = execFileSync('ss', ['-Htnp', 'state', 'established'], { encoding: 'utf8' });
  const own = shown.split('\n').filter((line) => line.includes(`pid=${run.coordinator.pid},`)).map((line) => line.trim().split(/\s+/));
  for (const [, , local, peer] of own) spawnSync('ss', ['-HK', 'src', local, 'dst', peer], { stdio: 'ignore' });
  return own.length > 0;
}

const cluster = (command, ...args) => execFileSync(join(CLUSTER, command), args, { stdio: ['ignore', 'ignore', 'inherit'] });
const ownCluster = () => (process.env.TESTFLEET_CLUSTER ? undefined : 'it takes the cluster that tests/cluster/up started');

/** The JVM was killed, or its agent with it. */
const byMemory = (difference) => byWorker(difference) || byJvm(difference);

/** As in faults.mjs. */
export const FAULTS = [
  { name: 'pod evicted', strike: (run, random) => { const pod = pick(random, pods(run)); return pod !== undefined && evict(pod); }, named: byWorker, most: 20 },
  { name: 'pod deleted by force', strike: (run, random) => { const pod = pick(random, pods(run)); return pod !== undefined && delete_(pod); }, named: byWorker, most: 5 },
  { name: 'out of memory', refused: ownCluster, strike: outOfMemory, named: byMemory, most: 3 },
  { name: 'pod preempted', strike: preempt, named: byWorker, most: 3 },
  {
    name: 'node without power, booted again',
    args: ['--lease', String(LEASE)],
    refused: ownCluster,
    strike: async () => {
      cluster('node', 'crash', '2');
      // The power of the other node, with the cluster's own parts, stays on.
      await sleep(POWER_CUT);
      cluster('node', 'boot', '2');
      return true;
    },
    named: byWorker,
    most: 1,
  },
  { name: 'API server restarted', refused: ownCluster, strike: () => { cluster('apiserver', 'restart'); return true; }, named: byTraces, most: 3 },
  { name: 'connections cut', strike: cut, named: nothing, most: 10 },
  { name: 'coordinator killed, resumed', kills: 'coordinator', named: byCoordinator, most: 3 },
];
