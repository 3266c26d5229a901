package dev.testfleet.gradle.tasks;

import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.util.Map;

/** Finds all tests, plans who runs what, and writes {@code plan.json} and {@code bundle.json}. */
@UntrackedTask(because = "Testfleet's engine compares what the plan was made from")
public abstract class PrepareTask extends PlanningTask {
    /** Whether the test frameworks are asked about every class, to compare. */
    @Input
    @Optional
    @Option(
            option = "verify",
            description =
                    "Asks the test frameworks about every class and fails when class files tell of"
                            + " other tests.")
    public abstract Property<Boolean> getVerify();

    @Override
    Map<String, Object> command() {
        Map<String, Object> listing = listing(false);
        return listing != null
                ? listing
                : Map.of("name", "prepare", "verify", getVerify().getOrElse(false));
    }
}
