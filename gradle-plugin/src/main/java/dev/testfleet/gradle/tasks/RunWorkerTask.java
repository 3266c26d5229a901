package dev.testfleet.gradle.tasks;

import dev.testfleet.gradle.internal.Choices;
import dev.testfleet.gradle.internal.Failures;

import org.gradle.api.file.ProjectLayout;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.util.LinkedHashMap;
import java.util.Map;

import javax.inject.Inject;

/**
 * Runs one group of the existing plan in this terminal, or what a worker of an earlier run really
 * ran.
 */
@UntrackedTask(because = "Whoever asks for a run wants the tests to run")
public abstract class RunWorkerTask extends TestfleetTask {
    /** Number of the group, from 1; the Gradle property {@code worker} unless set. */
    @Input
    @Optional
    @Option(
            option = "worker",
            description = "Number of the worker's group, from 1; also -Pworker=5.")
    public abstract Property<String> getWorker();

    /** A plan other than that of the output folder. */
    @Internal
    public abstract RegularFileProperty getPlan();

    /** The run whose worker is replayed. */
    @Input
    @Optional
    @Option(
            option = "from-run",
            description = "Replays what the worker really ran in this run: its id, or 'last'.")
    public abstract Property<String> getFromRun();

    /** Whether the JVM waits for a debugger. */
    @Input
    @Optional
    @Option(
            option = "debug-jvm",
            description = "Suspends the JVM until a debugger attaches to port 5005.")
    public abstract Property<Boolean> getDebugJvm();

    /** Whether it runs in a container of the image that is there. */
    @Input
    @Optional
    @Option(
            option = "in-image",
            description = "Runs the group in a container of the image that image.json names.")
    public abstract Property<Boolean> getInImage();

    /** Whether the container or pod stays when it has ended. */
    @Input
    @Optional
    @Option(
            option = "keep",
            description = "Leaves the worker's container or pod there when it has ended.")
    public abstract Property<Boolean> getKeep();

    /** Whether a container of the image is started for a shell instead. */
    @Input
    @Optional
    @Option(
            option = "shell",
            description = "Starts a container of the image and says how to open a shell in it.")
    public abstract Property<Boolean> getShell();

    /** Folders of the project. */
    @Inject
    protected abstract ProjectLayout getLayout();

    /** Names another plan, relative to the project's folder. */
    @Option(
            option = "plan",
            description = "Takes the group from this plan instead of build/testfleet/plan.json.")
    public void selectPlan(String file) {
        getPlan().set(getLayout().getProjectDirectory().file(file));
    }

    @Override
    Map<String, Object> command() {
        boolean shell = getShell().getOrElse(false);
        // In an image, each worker has what all have.
        String worker = shell ? getWorker().getOrElse("1") : getWorker().getOrNull();
        if (worker == null) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to choose a group of the plan",
                    "no worker's number was given",
                    "for example: ./gradlew runWorker -Pworker=1");
        }
        Map<String, Object> command = new LinkedHashMap<>();
        command.put("name", shell ? "shell" : "runWorker");
        command.put("worker", Choices.worker(worker));
        if (shell) {
            return command;
        }
        command.put("plan", getPlan().getAsFile().getOrNull());
        command.put("fromRun", getFromRun().getOrNull());
        command.put("debugJvm", getDebugJvm().getOrElse(false));
        command.put("inImage", getInImage().getOrElse(false));
        command.put("keep", getKeep().getOrElse(false));
        return command;
    }
}
