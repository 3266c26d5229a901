package dev.testfleet.gradle.tasks;

import org.gradle.api.tasks.UntrackedTask;

import java.util.Map;

/** Finds all tests, plans who runs what, and writes {@code plan.json} and {@code bundle.json}. */
@UntrackedTask(because = "Testfleet's engine compares what the plan was made from")
public abstract class PrepareTask extends TestfleetTask {
    @Override
    Map<String, Object> command() {
        return Map.of("name", "prepare");
    }
}
