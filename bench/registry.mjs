// A registry on the loopback interface, behind a door that counts what is sent to it.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** Debian's docker-registry; its package is unpacked below `work` when the machine lacks it. */
function program(work) {
  const found = spawnSync('sh', ['-c', 'command -v docker-registry'], { encoding: 'utf8' }).stdout.trim();
  if (found) return found;
  const folder = join(work, 'package');
  mkdirSync(folder);
  execFileSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('apt-get', ['download', '-qq', 'docker-registry'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  const [deb] = readdirSync(folder).filter((name) => name.endsWith('.deb'));
  execFileSync('dpkg', ['-x', deb, '.'], { cwd: folder });
  return join(folder, 'usr/bin/docker-registry');
}

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

async function freePort() {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Registry {
  /** Bytes that clients sent, heads of requests included. */
  sent = 0;

  static async start(work) {
    const registry = new Registry();
    const port = await freePort();
    const config = join(work, 'registry.yml');
    writeFileSync(
      config,
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${join(work, 'registry')}}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
    );
    const command = program(work);
    if (!existsSync(command)) throw new Error(`${command} is missing`);
    registry.process = spawn(command, ['serve', config], { stdio: 'ignore' });
    registry.door = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      client.on('data', (bytes) => {
        registry.sent += bytes.length;
      });
      client.pipe(server).pipe(client);
      client.on('error', () => server.destroy());
      server.on('error', () => client.destroy());
    });
    registry.host = `127.0.0.1:${await listening(registry.door)}`;
    for (let tries = 0; tries < 100; tries++) {
      if (await fetch(`http://127.0.0.1:${port}/v2/`).then((answer) => answer.ok, () => false)) return registry;
      await sleep(100);
    }
    throw new Error('the registry did not start');
  }

  /** Lets what clients sent last be counted. */
  settle() {
    return sleep(100);
  }

  async ask(method, path, { type, accept, body, expected = [200, 201, 202] } = {}) {
    const headers = { ...(type && { 'content-type': type }), ...(accept && { accept }) };
    const answer = await fetch(path.startsWith('http') ? path : `http://${this.host}${path}`, { method, headers, body });
    if (!expected.includes(answer.status)) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  /** Makes an image of the lowest `count` layers of another. */
  async baseOf(repository, tag, name, count) {
    const manifest = await (await this.ask('GET', `/v2/${repository}/manifests/${tag}`, { accept: MANIFEST })).json();
    const config = await (await this.ask('GET', `/v2/${repository}/blobs/${manifest.config.digest}`)).json();
    config.rootfs.diff_ids.length = count;
    delete config.history;
    for (const key of ['Entrypoint', 'Cmd', 'Labels']) delete config.config?.[key];
    const bytes = Buffer.from(JSON.stringify(config));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    for (const layer of manifest.layers.slice(0, count)) {
      await this.ask('POST', `/v2/${name}/blobs/uploads/?mount=${layer.digest}&from=${repository}`, { expected: [201] });
    }
    const upload = await this.ask('POST', `/v2/${name}/blobs/uploads/`);
    const place = new URL(upload.headers.get('location'), `http://${this.host}`);
    place.searchParams.set('digest', digest);
    await this.ask('PUT', place.href, { type: 'application/octet-stream', body: bytes });
    const made = { ...manifest, config: { mediaType: CONFIG, digest, size: bytes.length }, layers: manifest.layers.slice(0, count) };
    await this.ask('PUT', `/v2/${name}/manifests/${tag}`, { type: MANIFEST, body: JSON.stringify(made) });
  }

  async stop() {
    this.door?.close();
    this.process?.kill('SIGKILL');
  }
}
