package dev.testfleet.buildlogic;

import org.gradle.api.DefaultTask;
import org.gradle.api.GradleException;
import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.file.FileSystemOperations;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.CacheableTask;
import org.gradle.api.tasks.IgnoreEmptyDirectories;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.OutputDirectory;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.TaskAction;
import org.gradle.process.ExecOperations;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import javax.inject.Inject;

/**
 * Builds the native side with cargo: the engine as a shared library, the agent, the command.
 *
 * <p>The output folder holds {@code native/<os>-<arch>/} with the library and the agent, which go
 * into the plugin's jar, and {@code bin/} with the command, which does not. What cargo keeps
 * between builds stays in the workspace's own {@code target/}.
 */
@CacheableTask
public abstract class CargoBuild extends DefaultTask {
    private static final String AGENT = "testfleet-agent";
    private static final String HOST_KEY = "host: ";

    /** Every file that the binaries are made from. */
    @InputFiles
    @IgnoreEmptyDirectories
    @PathSensitive(PathSensitivity.RELATIVE)
    public abstract ConfigurableFileCollection getSources();

    /** Cargo profile: {@code release} for users, {@code checked} for tests. */
    @Input
    public abstract Property<String> getProfile();

    /** What the Rust toolchain says about itself. */
    @Input
    public abstract Property<String> getToolchain();

    /** Folder of the workspace's Cargo.toml. */
    @Internal
    public abstract DirectoryProperty getWorkspace();

    /** Where the binaries go. */
    @OutputDirectory
    public abstract DirectoryProperty getOutput();

    /** Runs cargo. */
    @Inject
    protected abstract ExecOperations getExecOperations();

    /** Copies the binaries. */
    @Inject
    protected abstract FileSystemOperations getFileSystemOperations();

    /** Builds everything and copies the binaries out of cargo's folder. */
    @TaskAction
    public void build() {
        String triple = hostTriple();
        NativePlatform platform = NativePlatform.ofTriple(triple);
        File workspace = getWorkspace().get().getAsFile();
        Path target = workspace.toPath().resolve("target");
        Cargo cargo = new Cargo(getExecOperations());

        // All members at once: cargo then chooses the same features as for `cargo test
        // --workspace`,
        // and the two share what they compile.
        cargo.run(workspace, arguments("build", target, "--workspace", "--lib", "--bins"));

        Path binaries = target.resolve(getProfile().get());
        File library = existing(binaries.resolve(platform.library("testfleet")));
        File agent = existing(binaries.resolve(platform.program(AGENT)));
        File command = existing(binaries.resolve(platform.program("testfleet")));
        getFileSystemOperations()
                .sync(
                        sync -> {
                            sync.into(getOutput());
                            sync.into(
                                    "native/" + platform.folder(triple),
                                    packed -> packed.from(library, agent));
                            sync.into("bin", bin -> bin.from(command));
                        });
    }

    private List<String> arguments(String command, Path target, String... more) {
        List<String> arguments =
                new ArrayList<>(List.of(command, "--locked", "--profile", getProfile().get()));
        arguments.addAll(List.of("--target-dir", target.toString()));
        arguments.addAll(List.of(more));
        return arguments;
    }

    private String hostTriple() {
        return getToolchain()
                .get()
                .lines()
                .filter(line -> line.startsWith(HOST_KEY))
                .map(line -> line.substring(HOST_KEY.length()))
                .findFirst()
                .orElseThrow(
                        () ->
                                new GradleException(
                                        "failed to find out what platform rustc builds for: its"
                                                + " output has no line `host:`\n"
                                                + getToolchain().get()));
    }

    private static File existing(Path binary) {
        if (!Files.isRegularFile(binary)) {
            throw new GradleException(
                    "failed to find "
                            + binary
                            + " after cargo's build. Does a cargo configuration set build.target?");
        }
        return binary.toFile();
    }
}
