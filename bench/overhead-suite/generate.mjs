// Writes the test classes that bench/overhead runs.
//
//   node generate.mjs FOLDER [--short]
//
// Package tiny: 1,000 classes of 20 empty tests. Package sleepy: 1,000 classes of one test that sleeps for a second, once all
// JVMs are there: each JVM leaves a file in the folder that the variable OVERHEAD_GATE names, and waits for as many as OVERHEAD_WORKERS says.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, short] = process.argv.slice(2);
const classes = short ? 50 : 1_000;
const number = (index) => String(index).padStart(4, '0');

rmSync(folder, { recursive: true, force: true });
for (const name of ['tiny', 'sleepy']) mkdirSync(join(folder, name), { recursive: true });
const write = (name, text) => writeFileSync(join(folder, `${name}.java`), text);

for (let index = 1; index <= classes; index += 1) {
  const methods = Array.from({ length: 20 }, (_, method) => `    @Test\n    void t${number(method)}() {}\n`);
  write(`tiny/T${number(index)}Test`, `package tiny;\n\nimport org.junit.jupiter.api.Test;\n\nclass T${number(index)}Test {\n${methods.join('\n')}}\n`);
  write(`sleepy/S${number(index)}Test`, `package sleepy;

import org.junit.jupiter.api.Test;

class S${number(index)}Test {
    @Test
    void sleeps() throws Exception {
        Gate.await();
        Thread.sleep(1_000);
    }
}
`);
}
write('sleepy/Gate', `package sleepy;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens when all JVMs of the run have come. */
final class Gate {
    private static boolean open;

    private Gate() {}

    static synchronized void await() throws Exception {
        if (open) {
            return;
        }
        File gate = new File(System.getenv("OVERHEAD_GATE"));
        int workers = Integer.parseInt(System.getenv("OVERHEAD_WORKERS"));
        Files.createFile(Path.of(gate.getPath(), System.getenv("TESTFLEET_WORKER")));
        while (gate.list().length < workers) {
            Thread.sleep(5);
        }
        open = true;
    }
}
`);
