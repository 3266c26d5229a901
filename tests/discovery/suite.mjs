// A folder with pom.xml and manifest.json, made ready to be asked: its jars, its class names, what the engine is asked.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
/** Resolves a classpath; pinned, as everything that is downloaded is. */
const MAVEN_GOAL = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath';

export class Problem extends Error {}

export function javaTool(name) {
  return process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', name) : name;
}

function read(folder, name) {
  const file = join(folder, name);
  if (!existsSync(file)) throw new Problem(`${file} is missing`);
  return readFileSync(file, 'utf8');
}

/** Gradle hands over every class that is not named like an anonymous one. */
function classNames(jar, manifest) {
  const any = (patterns, name) => patterns.some((pattern) => new RegExp(`^(?:${pattern})$`).test(name));
  const included = manifest.include_class_regex ?? [];
  const excluded = manifest.exclude_class_regex ?? [];
  return execFileSync(javaTool('jar'), ['tf', jar], { encoding: 'utf8', maxBuffer: 1 << 28 })
    .split(/\r?\n/)
    .filter((entry) => entry.endsWith('.class') && !entry.startsWith('META-INF/') && !entry.endsWith('module-info.class'))
    .map((entry) => entry.slice(0, -'.class'.length).replaceAll('/', '.'))
    .filter((name) => !/\$\d+$/.test(name))
    .filter((name) => (included.length === 0 || any(included, name)) && !any(excluded, name))
    .sort();
}

/** The jars of the folder's pom.xml in order, the one with the tests first; asked of Maven once for each pom. */
function resolveClasspath(folder, out, pom, manifest) {
  const known = join(out, 'classpath.json');
  const key = createHash('sha256').update(MAVEN_GOAL).update(pom).update(manifest.source).digest('hex');
  if (existsSync(known)) {
    const cached = JSON.parse(readFileSync(known, 'utf8'));
    if (cached.key === key && cached.jars.every((jar) => existsSync(jar))) return cached.jars;
  }
  const file = join(out, 'classpath.txt');
  execFileSync('mvn', ['-q', '-B', '-Dstyle.color=never', '-f', join(folder, 'pom.xml'), MAVEN_GOAL, `-Dmdep.outputFile=${file}`], {
    stdio: ['ignore', 2, 2],
  });
  const jars = readFileSync(file, 'utf8').trim().split(delimiter);
  const [, artifact, version, , classifier] = manifest.source.split(':');
  const name = [artifact, version, ...(classifier ? [classifier] : [])].join('-') + '.jar';
  const tests = jars.find((jar) => jar.endsWith(`/${name}`) || jar.endsWith(`\\${name}`));
  if (!tests) throw new Problem(`${folder}/pom.xml does not bring the jar ${name} that manifest.json names as its source`);
  const ordered = [tests, ...jars.filter((jar) => jar !== tests)];
  writeFileSync(known, JSON.stringify({ key, jars: ordered }));
  return ordered;
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

function request(out, jars, framework, classes, manifest, java) {
  const filtered = (manifest.include_class_regex ?? []).some((one) => one !== '.*') || (manifest.exclude_class_regex ?? []).length > 0;
  return {
    protocol: manifest.protocol ?? 1,
    buildName: manifest.name,
    roots: { project: out, build: out, gradleHome: out },
    resultsDir: join(out, 'results'),
    reportsDir: join(out, 'reports'),
    timingsFile: join(out, 'timings.json'),
    stateDir: join(out, 'state'),
    harnessJar: join(out, 'harness.jar'),
    agent: join(out, 'agent'),
    tasks: [
      {
        path: ':test',
        classDirs: [jars[0]],
        classpath: jars,
        java,
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
  const pom = read(from, 'pom.xml');
  const manifest = JSON.parse(read(from, 'manifest.json'));
  const out = join(here, 'build', manifest.name);
  mkdirSync(out, { recursive: true });
  const jars = resolveClasspath(from, out, pom, manifest);
  const framework = frameworkOf(manifest, jars);
  const classes = classNames(jars[0], manifest);
  const classesFile = join(out, 'classes.txt');
  writeFileSync(classesFile, classes.map((name) => `${name}\n`).join(''));
  const requestFile = join(out, 'request.json');
  const java = { home: process.env.JAVA_HOME ?? '/', version: 17 };
  writeFileSync(requestFile, JSON.stringify(request(out, jars, framework, classes, manifest, java), null, 1));
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
