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

    @Override
    Map<String, Object> command() {
        Map<String, Object> listing = listing(getDryRun().getOrElse(false));
        return listing != null ? listing : Map.of("name", "runParallel");
    }
}
