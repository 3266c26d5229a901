package dev.testfleet.gradle.tasks;

import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.util.Map;

/** Prepares, and runs all tests on all workers. */
@UntrackedTask(because = "Testfleet's engine knows what need not run again")
public abstract class RunParallelTask extends PlanningTask {
    /**
     * Whether the plan is shown instead of being run. Gradle's own {@code --dry-run} leaves out the
     * whole task; its Test task has this name, too.
     */
    @Input
    @Optional
    @Option(option = "test-dry-run", description = "Shows the plan, and writes and runs nothing.")
    public abstract Property<Boolean> getDryRun();

    /** The run that goes on. */
    @Input
    @Optional
    @Option(
            option = "resume-run",
            description =
                    "Goes on with this run, which did not come to its end: its id, or 'last'.")
    public abstract Property<String> getResumeRun();

    /** How often each test is run, whatever comes out. */
    @Input
    @Optional
    @Option(option = "repeat", description = "Runs each test so many times, to hunt a flaky one.")
    public abstract Property<String> getRepeat();

    /** How often a bad test is tried again, instead of what the build says. */
    @Input
    @Optional
    @Option(option = "max-retries", description = "Tries bad tests again up to so many times.")
    public abstract Property<String> getMaxRetries();

    /** Goes on with the last run. */
    @Option(
            option = "resume",
            description = "Goes on with the last run, which did not come to its end.")
    public void resume(boolean last) {
        getResumeRun().set(last ? "last" : null);
    }

    @Override
    Map<String, Object> command() {
        Map<String, Object> listing = listing(getDryRun().getOrElse(false));
        return listing != null ? listing : Map.of("name", "runParallel");
    }
}
