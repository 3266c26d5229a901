package dev.testfleet.buildlogic;

import org.gradle.api.GradleException;
import org.gradle.process.ExecOperations;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** Rust's build tool on this machine: where it is, what it is, and how it is run. */
final class Cargo {
    private final ExecOperations execOperations;

    Cargo(ExecOperations execOperations) {
        this.execOperations = execOperations;
    }

    /** Runs cargo in {@code directory}; its own output is the build's output. */
    void run(File directory, List<String> arguments) {
        Path cargo = find("cargo");
        execOperations.exec(
                exec -> {
                    exec.setWorkingDir(directory);
                    exec.setExecutable(cargo);
                    exec.setArgs(arguments);
                });
    }

    /** What cargo and rustc say about themselves: their versions, commits and host platform. */
    String describe() {
        return output("cargo", "--version") + output("rustc", "-vV");
    }

    private String output(String program, String argument) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Path executable = find(program);
        execOperations.exec(
                exec -> {
                    exec.setExecutable(executable);
                    exec.args(argument);
                    exec.setStandardOutput(out);
                });
        return out.toString(StandardCharsets.UTF_8);
    }

    // An IDE that was started from a desktop doesn't have rustup's folder in its PATH.
    private static Path find(String program) {
        String fileName = File.separatorChar == '\\' ? program + ".exe" : program;
        Stream<Path> onPath =
                variable("PATH").stream()
                        .flatMap(path -> Stream.of(path.split(File.pathSeparator)))
                        .filter(folder -> !folder.isEmpty())
                        .map(Path::of);
        Path cargoHome =
                variable("CARGO_HOME")
                        .map(Path::of)
                        .orElseGet(() -> Path.of(System.getProperty("user.home"), ".cargo"));
        return Stream.concat(onPath, Stream.of(cargoHome.resolve("bin")))
                .map(folder -> folder.resolve(fileName))
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow(() -> missing(program, cargoHome));
    }

    private static Optional<String> variable(String name) {
        return Optional.ofNullable(System.getenv(name));
    }

    private static GradleException missing(String program, Path cargoHome) {
        return new GradleException(
                String.format(
                        "failed to find %s: it is neither on the PATH nor in %s. Testfleet's engine"
                            + " is written in Rust: install Rust (see https://rustup.rs; the oldest"
                            + " version that works is rust-version in Cargo.toml), or name a folder"
                            + " with binaries from somewhere else in"
                            + " -Ptestfleet.prebuiltNative=DIR.",
                        program, cargoHome.resolve("bin")));
    }
}
