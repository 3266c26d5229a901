// A folder with pom.xml and manifest.json, made ready: its jars, its class names, what the engine and the framework are asked.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
/** Where `cargo build` leaves testfleet and its agent. */
const programs = resolve(process.env.TESTFLEET_PROGRAMS ?? join(root, 'target/checked'));
/** Resolves a classpath; pinned, as everything that is downloaded is. */
const MAVEN_GOAL = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath';

export class Problem extends Error {}

export function javaTool(name) {
  return process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', name) : name;
}

function javaHome() {
  if (process.env.JAVA_HOME) return process.env.JAVA_HOME;
  const { stderr } = spawnSync('java', ['-XshowSettings:properties', '-version'], { encoding: 'utf8' });
  const home = /^ *java\.home = (.+)$/m.exec(stderr ?? '');
  if (!home) throw new Problem('there is no java to be found: set JAVA_HOME');
  return home[1];
}

/** The deepest folder that holds all these files. */
function commonFolder(files) {
  const [first, ...others] = files.map((file) => dirname(file).split(sep));
  const end = first.findIndex((part, index) => others.some((other) => other[index] !== part));
  return first.slice(0, end < 0 ? first.length : end).join(sep) || sep;
}

function read(folder, name) {
  const file = join(folder, name);
  if (!existsSync(file)) throw new Problem(`${file} is missing`);
  return readFileSync(file, 'utf8');
}

/** Gradle hands over every class that is not named like an anonymous one. */
function classNames(classes, manifest) {
  const any = (patterns, name) => patterns.some((pattern) => new RegExp(`^(?:${pattern})$`).test(name));
  const included = manifest.include_class_regex ?? [];
  const excluded = manifest.exclude_class_regex ?? [];
  const entries = classes.endsWith('.jar')
    ? execFileSync(javaTool('jar'), ['tf', classes], { encoding: 'utf8', maxBuffer: 1 << 28 }).split(/\r?\n/)
    : readdirSync(classes, { recursive: true }).map((entry) => entry.replaceAll(sep, '/'));
  return entries
    .filter((entry) => entry.endsWith('.class') && !entry.startsWith('META-INF/') && !entry.endsWith('module-info.class'))
    .map((entry) => entry.slice(0, -'.class'.length).replaceAll('/', '.'))
    .filter((name) => !/\$\d+$/.test(name))
    .filter((name) => (included.length === 0 || any(included, name)) && !any(excluded, name))
    .sort();
}

/** The jars of a POM in order; asked of Maven once for each text of it. */
function resolveClasspath(pomFile, out, name) {
  const known = join(out, `${name}.json`);
  const key = createHash('sha256').update(MAVEN_GOAL).update(readFileSync(pomFile)).digest('hex');
  if (existsSync(known)) {
    const cached = JSON.parse(readFileSync(known, 'utf8'));
    if (cached.key === key && cached.jars.every((jar) => existsSync(jar))) return cached.jars;
  }
  const file = join(out, `${name}.txt`);
  execFileSync('mvn', ['-q', '-B', '-Dstyle.color=never', '-f', pomFile, MAVEN_GOAL, `-Dmdep.outputFile=${file}`], {
    stdio: ['ignore', 2, 2],
  });
  const jars = readFileSync(file, 'utf8').trim().split(delimiter);
  writeFileSync(known, JSON.stringify({ key, jars }));
  return jars;
}

/** The classpath with the jar that has the tests first. */
function withTestJar(folder, jars, source) {
  const [, artifact, version, , classifier] = source.split(':');
  const name = [artifact, version, ...(classifier ? [classifier] : [])].join('-') + '.jar';
  const tests = jars.find((jar) => jar.endsWith(`${sep}${name}`));
  if (!tests) throw new Problem(`${folder}/pom.xml does not bring the jar ${name} that manifest.json names as its source`);
  return [tests, ...jars.filter((jar) => jar !== tests)];
}

/** Command lines that compile files into a folder, by the ending of the files. */
const COMPILERS = {
  java: () => [javaTool('javac'), '-nowarn', '-proc:none', '-parameters'],
  groovy: (jars) => [javaTool('java'), '-cp', jars.join(delimiter), 'org.codehaus.groovy.tools.FileSystemCompiler'],
  kt: (jars, folder, out) => [
    javaTool('java'), '-cp', resolveClasspath(join(folder, 'compiler.xml'), out, 'compiler').join(delimiter),
    'org.jetbrains.kotlin.cli.jvm.K2JVMCompiler', '-no-stdlib', '-no-reflect', '-module-name', 'shop',
  ],
};

/** A suite of sources: compiled when they, or the classpath, have changed. */
function compileSources(folder, jars, sources, out) {
  const root = resolve(folder, sources);
  const files = readdirSync(root, { recursive: true }).map((file) => join(root, file)).sort();
  const classes = join(out, 'test-classes');
  const key = createHash('sha256').update(jars.join('\n'));
  for (const file of files.filter((one) => /\.[a-z]+$/.test(one))) key.update(file).update(readFileSync(file));
  const digest = key.digest('hex');
  const mark = join(out, 'compiled-from');
  if (existsSync(classes) && existsSync(mark) && readFileSync(mark, 'utf8') === digest) return classes;
  rmSync(classes, { recursive: true, force: true });
  mkdirSync(classes, { recursive: true });
  for (const [ending, command] of Object.entries(COMPILERS)) {
    const own = files.filter((file) => file.endsWith(`.${ending}`));
    if (own.length === 0) continue;
    const [program, ...args] = command(jars, folder, out);
    execFileSync(program, [...args, '-d', classes, '-cp', [classes, ...jars].join(delimiter), ...own], { stdio: ['ignore', 2, 2] });
  }
  writeFileSync(mark, digest);
  return classes;
}

/** What Gradle would be told: manifest.json may say it (`use`), else what the classpath brings. */
function frameworkOf(manifest, jars) {
  const brings = (artifact) => jars.some((jar) => new RegExp(`[/\\\\]${artifact}-\\d[^/\\\\]*\\.jar$`).test(jar));
  const use = manifest.use ?? (brings('junit-platform-engine') ? 'junit-platform' : brings('testng') ? 'testng' : 'junit4');
  if (!['junit-platform', 'junit4', 'testng'].includes(use)) {
    throw new Problem(`manifest.json says use: ${use}, which is none of junit-platform, junit4, testng`);
  }
  return use;
}

/** What the Gradle plugin would write. */
function request(out, jars, framework, classes, manifest) {
  const filtered = (manifest.include_class_regex ?? []).some((one) => one !== '.*') || (manifest.exclude_class_regex ?? []).length > 0;
  const version = /^version=(.+)$/m.exec(read(root, 'gradle.properties'))[1];
  return {
    protocol: manifest.protocol ?? 1,
    buildName: manifest.name,
    roots: { project: out, build: out, gradleHome: commonFolder(jars.filter((jar) => !jar.startsWith(out))), testfleet: root, programs },
    resultsDir: join(out, 'results'),
    reportsDir: join(out, 'reports'),
    timingsFile: join(out, 'timings.json'),
    stateDir: join(out, 'state'),
    harnessJar: join(root, 'harness/build/libs', `harness-${version}.jar`),
    agent: join(programs, 'testfleet-agent'),
    tasks: [
      {
        path: ':test',
        classDirs: [jars[0]],
        classpath: jars,
        java: { home: javaHome(), version: 17 },
        jvmArgs: manifest.jvm_args ?? [],
        workingDir: out,
        enableAssertions: true,
        framework: { name: framework },
        scanForTestClasses: true,
        includes: filtered ? classes.map((name) => `${name.replaceAll('.', '/')}.class`) : [],
      },
    ],
    options: { backend: 'local', workers: 1, split: 'class' },
  };
}

/** Everything about a folder: `{ name, out, jars, classesFile, framework, requestFile, jvmArgs }`. */
export function prepare(folder) {
  const from = resolve(folder);
  read(from, 'pom.xml');
  const manifest = JSON.parse(read(from, 'manifest.json'));
  const out = join(here, 'build', manifest.name);
  mkdirSync(out, { recursive: true });
  const resolved = resolveClasspath(join(from, 'pom.xml'), out, 'classpath');
  const jars = manifest.sources
    ? [compileSources(from, resolved, manifest.sources, out), ...resolved]
    : withTestJar(folder, resolved, manifest.source);
  const framework = frameworkOf(manifest, jars);
  const classes = classNames(jars[0], manifest);
  const classesFile = join(out, 'classes.txt');
  writeFileSync(classesFile, classes.map((name) => `${name}\n`).join(''));
  const requestFile = join(out, 'request.json');
  writeFileSync(requestFile, JSON.stringify(request(out, jars, framework, classes, manifest), null, 1));
  return { name: manifest.name, from, out, jars, classesFile, framework, requestFile, jvmArgs: manifest.jvm_args ?? [] };
}

/** Compiles the oracle against the framework of the suite itself, so that no version but the suite's takes part. */
export function compileOracle(suite) {
  const classes = join(suite.out, 'oracle');
  const source = { 'junit-platform': 'PlatformSource', junit4: 'JUnit4Source', testng: 'TestNgSource' }[suite.framework];
  const files = ['Oracle', 'Listed', source].map((name) => join(here, 'oracle', `${name}.java`));
  const key = createHash('sha256').update(suite.jars.join('\n'));
  for (const file of files) key.update(readFileSync(file));
  const digest = key.digest('hex');
  const mark = join(classes, 'compiled-from');
  if (!existsSync(mark) || readFileSync(mark, 'utf8') !== digest) {
    mkdirSync(classes, { recursive: true });
    execFileSync(javaTool('javac'), ['-nowarn', '-Xlint:-deprecation', '-proc:none', '-d', classes, '-cp', suite.jars.join(delimiter), ...files], {
      stdio: ['ignore', 2, 2],
    });
    writeFileSync(mark, digest);
  }
  return classes;
}

/** Asks the framework. `{ file, listedMs, processMs }`: the list, how long it took within the JVM and with the JVM. */
export function listByFramework(suite) {
  const classpath = [compileOracle(suite), ...suite.jars].join(delimiter);
  const file = join(suite.out, 'framework.tsv');
  const started = process.hrtime.bigint();
  const output = execFileSync(
    javaTool('java'),
    [...suite.jvmArgs, '-cp', classpath, 'Oracle', suite.framework, suite.classesFile, file],
    { cwd: suite.out, encoding: 'utf8', stdio: ['ignore', 'pipe', 2], maxBuffer: 1 << 28 },
  );
  const processMs = Number((process.hrtime.bigint() - started) / 1_000_000n);
  const told = /^listedMs=(\d+)$/m.exec(output);
  if (!told) throw new Problem(`the oracle said nothing of how long it took:\n${output}`);
  return { file, listedMs: Number(told[1]), processMs };
}
