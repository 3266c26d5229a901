package dev.testfleet.gradle.tasks;

import org.gradle.api.tasks.UntrackedTask;

import java.util.Map;

/** Prepares, and runs all tests on all workers. */
@UntrackedTask(because = "Whoever asks for a run wants the tests to run")
public abstract class RunParallelTask extends TestfleetTask {
    @Override
    Map<String, Object> command() {
        return Map.of("name", "runParallel");
    }
}
