package dev.testfleet.gradle.tasks;

import dev.testfleet.gradle.PlanningOptions;
import dev.testfleet.gradle.internal.EngineService;
import dev.testfleet.gradle.internal.Json;
import dev.testfleet.gradle.internal.RunRequest;

import org.gradle.api.DefaultTask;
import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.provider.SetProperty;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.TaskAction;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * What Testfleet's tasks have in common: they gather what the build and the user say into a
 * request, leave it as {@code request.json} in the output folder, and let the engine do the work.
 */
@UntrackedTask(because = "Testfleet's engine decides what there is to do")
public abstract class TestfleetTask extends DefaultTask implements PlanningOptions {
    /** Name of the build, for titles. */
    @Input
    public abstract Property<String> getBuildName();

    /** Descriptions of the Test tasks, written by the modules. */
    @InputFiles
    @PathSensitive(PathSensitivity.NONE)
    public abstract ConfigurableFileCollection getDescriptions();

    /** Names of the Test tasks that were asked for. */
    @Input
    public abstract SetProperty<String> getTestTasks();

    /** Where workers are started. */
    @Input
    @Option(
            option = "backend",
            description = "Where workers are started: local, docker or kubernetes.")
    public abstract Property<String> getBackend();

    /** How many workers. */
    @Input
    @Option(option = "workers", description = "How many workers, from 1.")
    public abstract Property<String> getWorkers();

    /** What must hold between test classes, as the engine's request has it. */
    @Input
    public abstract ListProperty<Map<String, Object>> getConstraints();

    /**
     * Where timings and passed units are shared, as the engine's request has it; empty: nowhere.
     */
    @Input
    public abstract MapProperty<String, Object> getHistory();

    /** How a run deals with what fails, hangs and breaks off, as the engine's request has it. */
    @Input
    public abstract MapProperty<String, Object> getRunOptions();

    /** How workers in containers are started, as the engine's request has it. */
    @Input
    public abstract MapProperty<String, Object> getDockerOptions();

    /** How workers in pods are started, as the engine's request has it. */
    @Input
    public abstract MapProperty<String, Object> getKubernetesOptions();

    /** What images are made of and where they go, as the engine's request has it. */
    @Input
    public abstract MapProperty<String, Object> getImageOptions();

    /** Patterns of tests, one of which must match. */
    @Input
    public abstract ListProperty<String> getTests();

    /** Whether bad tests are only reported. */
    @Input
    public abstract Property<Boolean> getIgnoreFailures();

    /** Names of environment variables for workers on other machines. */
    @Input
    public abstract SetProperty<String> getPassEnvironment();

    /** Testfleet's own documents. */
    @Internal
    public abstract DirectoryProperty getOutputDir();

    /** JUnit XML. */
    @Internal
    public abstract DirectoryProperty getResultsDir();

    /** HTML report and {@code summary.json}. */
    @Internal
    public abstract DirectoryProperty getReportsDir();

    /** Folders that stored paths are relative to. */
    @Internal
    public abstract MapProperty<String, File> getRoots();

    /** The engine. */
    @Internal
    public abstract Property<EngineService> getEngine();

    /** Sets the patterns of tests from the command line. */
    @Option(
            option = "tests",
            description =
                    "Runs only tests that match, such as '*.FooTest' or 'FooTest.adds';"
                            + " repeatable.")
    public void selectTests(List<String> patterns) {
        getTests().set(patterns);
    }

    /** The command for the engine, as an object of the name and what belongs to it. */
    abstract Map<String, Object> command();

    /**
     * Writes the request and runs the command.
     *
     * @throws IOException when a description cannot be read or the request cannot be written
     */
    @TaskAction
    public void run() throws IOException {
        Map<String, Object> command = command();
        Map<String, Object> request = RunRequest.of(this, getEngine().get()).document();
        Json.write(request, getOutputDir().get().getAsFile().toPath().resolve("request.json"));
        getEngine().get().run(command, request, getLogger());
    }
}
