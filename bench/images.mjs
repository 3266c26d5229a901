// What bench/images measures; see there. `node bench/images.mjs FOLDER REQUEST PROGRAMS ROUNDS`

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { Registry } from './registry.mjs';

const [, , folder, requestFile, programs, roundsText] = process.argv;
const rounds = Number(roundsText);
/** Pinned, as everything that is downloaded is. */
const JIB = 'com.google.cloud.tools:jib-maven-plugin:3.4.4';

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Not spawnSync: the registry's door is in this process. */
async function run(command, args, options = {}) {
  const started = process.hrtime.bigint();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const [status] = await once(child, 'close');
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output}`);
  return ms;
}

/** A build of its own below `work`: everything that the request names, at the same places of roots of its own. */
class Ours {
  constructor(work, registry) {
    this.work = join(work, 'ours');
    this.registry = registry;
    this.request = JSON.parse(readFileSync(requestFile, 'utf8'));
    this.roots = Object.entries(this.request.roots).sort(([, a], [, b]) => b.length - a.length);
    this.request = this.moved(this.request);
    this.task = this.request.tasks[0];
    this.store = join(this.work, 'store');
  }

  moved(value) {
    if (Array.isArray(value)) return value.map((item) => this.moved(item));
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.moved(item)]));
    if (typeof value !== 'string' || !value.startsWith('/')) return value;
    const root = this.roots.find(([, dir]) => value === dir || value.startsWith(`${dir}/`));
    if (!root) return value;
    const target = join(this.work, root[0], relative(root[1], value));
    mkdirSync(dirname(target), { recursive: true });
    const isRoot = value === root[1];
    if (!isRoot && existsSync(value) && !existsSync(target)) {
      if (statSync(value).isDirectory()) cpSync(value, target, { recursive: true });
      else cpSync(value, target);
    }
    if (isRoot) mkdirSync(target, { recursive: true });
    return target;
  }

  get classes() {
    return this.task.classDirs[0];
  }

  jars() {
    return this.task.classpath.filter((path) => path.endsWith('.jar'));
  }

  /** How many of the lowest layers of the last image are those of the base. */
  baseLayers() {
    const { layers } = JSON.parse(readFileSync(join(this.request.roots.build, 'image.json'), 'utf8'));
    return layers.findIndex(({ holds }) => !/^(base|java)/.test(holds));
  }

  forget() {
    for (const dir of [this.store, this.request.stateDir, join(this.request.roots.build, 'image')]) rmSync(dir, { recursive: true, force: true });
  }

  build(repository, base, to = ['registry']) {
    this.request.options.image = {
      base: base ? { type: 'registry', reference: `${this.registry.host}/${base}` } : { type: 'none' },
      name: `${this.registry.host}/${repository}`,
      tags: ['bench'],
      to,
    };
    const file = join(this.request.roots.build, 'request.json');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(this.request));
    const environment = { ...process.env, TESTFLEET_STORE: this.store };
    return run(join(programs, 'testfleet'), ['image', '--request', file], { env: environment });
  }
}

/** The same classes and jars as a Maven project with Jib. */
class Theirs {
  constructor(work, registry, ours) {
    this.work = join(work, 'theirs');
    this.registry = registry;
    this.ours = ours;
    mkdirSync(this.work, { recursive: true });
  }

  /** Jars are given by coordinates of their own: `bench:NAME:VERSION`, in a repository of the project. */
  project(versions) {
    const dependencies = this.ours.jars().map((jar) => {
      const name = basename(jar, '.jar');
      const version = versions[name] ?? '1';
      const folder = join(this.work, 'repo/bench', name, version);
      mkdirSync(folder, { recursive: true });
      const target = join(folder, `${name}-${version}.jar`);
      rmSync(target, { force: true });
      cpSync(jar, target);
      const pom = `<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>${name}</artifactId><version>${version}</version></project>`;
      writeFileSync(join(folder, `${name}-${version}.pom`), pom);
      return `<dependency><groupId>bench</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
    });
    writeFileSync(
      join(this.work, 'pom.xml'),
      `<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>app</artifactId><version>1</version>
<repositories><repository><id>bench</id><url>file://${join(this.work, 'repo')}</url></repository></repositories>
<build><outputDirectory>${this.ours.classes}</outputDirectory></build>
<dependencies>${dependencies.join('\n')}</dependencies></project>`,
    );
  }

  forget() {
    rmSync(join(this.work, 'cache'), { recursive: true, force: true });
  }

  build(repository, base) {
    return run('mvn', [
      '-q',
      '-f',
      join(this.work, 'pom.xml'),
      `${JIB}:build`,
      `-Djib.from.image=${this.registry.host}/${base}`,
      `-Djib.to.image=${this.registry.host}/${repository}:bench`,
      '-Djib.allowInsecureRegistries=true',
      '-Djib.container.mainClass=bench.Main',
      `-Djib.baseImageCache=${join(this.work, 'cache/base')}`,
      `-Djib.applicationCache=${join(this.work, 'cache/app')}`,
      '-Djib.console=plain',
    ]);
  }
}

/** Changes the name of the source file that a class file tells, which changes nothing else. */
function changeClass(dir, round) {
  const files = readdirSync(dir, { recursive: true })
    .filter((name) => name.endsWith('.class') && !name.includes('$'))
    .sort();
  for (const name of files) {
    const file = join(dir, name);
    const bytes = readFileSync(file);
    const at = bytes.indexOf('.java');
    if (at < 1) continue;
    bytes[at - 1] = 'abcdefghijklmnopqrstuvwxyz'.charCodeAt(round % 26);
    rmSync(file);
    writeFileSync(file, bytes);
    return;
  }
  throw new Error(`${dir} has no class file that names its source`);
}

/** A jar with another comment: a new version of the same size. */
function upgrade(jar, round) {
  const bytes = readFileSync(jar);
  const end = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  const comment = Buffer.from(`upgrade ${round} of ${process.pid}`);
  const head = Buffer.from(bytes.subarray(0, end + 22));
  head.writeUInt16LE(comment.length, end + 20);
  rmSync(jar);
  writeFileSync(jar, Buffer.concat([head, comment]));
}

const work = mkdtempSync(join(tmpdir(), 'testfleet-bench-images-'));
let registry;
try {
  registry = await Registry.start(work);
  const ours = new Ours(work, registry);
  const theirs = new Theirs(work, registry, ours);
  const jars = ours.jars().sort((a, b) => statSync(a).size - statSync(b).size);
  // Neither the smallest nor the largest.
  const upgraded = jars[Math.floor((jars.length * 3) / 4)];
  const bytes = ours.jars().reduce((sum, jar) => sum + statSync(jar).size, 0);
  console.log(`${basename(resolve(folder))}: ${ours.jars().length} jars of ${(bytes / 1e6).toFixed(1)} MB; upgraded is ${basename(upgraded)} of ${(statSync(upgraded).size / 1e6).toFixed(2)} MB`);

  // The base is what Testfleet makes of this machine's JDK, without anything of the build.
  await ours.build('seed', null);
  await registry.baseOf('seed', 'bench', 'base', ours.baseLayers());
  theirs.project({});
  await theirs.build('warm', 'base:bench');

  const cases = { cold: [], unchanged: [], class: [], dependency: [] };
  for (let round = 1; round <= rounds; round++) {
    const measured = async (name, prepareOurs, prepareTheirs) => {
      const row = {};
      for (const side of round % 2 ? ['ours', 'theirs'] : ['theirs', 'ours']) {
        (side === 'ours' ? prepareOurs : prepareTheirs)?.();
        registry.sent = 0;
        const tool = side === 'ours' ? ours : theirs;
        const ms = await tool.build(`${side}-${round}`, 'base:bench');
        await registry.settle();
        row[side] = { ms, sent: registry.sent };
      }
      cases[name].push(row);
      const side = ({ ms, sent }) => `${(ms / 1000).toFixed(2)} s, ${(sent / 1e6).toFixed(3)} MB sent`;
      console.log(`round ${round}, ${name}: Testfleet ${side(row.ours)}; Jib ${side(row.theirs)}`);
    };
    await measured('cold', () => ours.forget(), () => theirs.forget());
    await measured('unchanged');
    changeClass(ours.classes, round);
    await measured('class');
    upgrade(upgraded, round);
    theirs.project({ [basename(upgraded, '.jar')]: String(round + 1) });
    await measured('dependency');
    theirs.project({});
  }
  const of = (rows, side, key) => median(rows.map((row) => row[side][key]));
  for (const [name, rows] of Object.entries(cases)) {
    console.log(
      `${name.padEnd(10)} Testfleet ${(of(rows, 'ours', 'ms') / 1000).toFixed(2)} s, ${of(rows, 'ours', 'sent')} bytes; Jib ${(of(rows, 'theirs', 'ms') / 1000).toFixed(2)} s, ${of(rows, 'theirs', 'sent')} bytes`,
    );
  }
  console.log(Object.entries(cases).map(([name, rows]) => `${name}=${(of(rows, 'ours', 'ms') / of(rows, 'theirs', 'ms')).toFixed(2)}`).join(' '));
} finally {
  await registry?.stop();
  rmSync(work, { recursive: true, force: true });
}
