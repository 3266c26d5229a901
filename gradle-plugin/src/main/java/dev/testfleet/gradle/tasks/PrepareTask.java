package dev.testfleet.gradle.tasks;

import org.gradle.api.tasks.UntrackedTask;

import java.util.Map;

/** Finds all tests, plans who runs what, and writes {@code plan.json} and {@code bundle.json}. */
@UntrackedTask(because = "Testfleet's engine compares what the plan was made from")
public abstract class PrepareTask extends PlanningTask {
    @Override
    Map<String, Object> command() {
        Map<String, Object> listing = listing(false);
        return listing != null ? listing : Map.of("name", "prepare");
    }
}
