package dev.testfleet.gradle.tasks;

import org.gradle.api.tasks.UntrackedTask;

import java.util.Map;

/** Prepares, and gathers everything that workers need in one folder. */
@UntrackedTask(because = "Testfleet's engine compares what the image was made from")
public abstract class ImageTask extends PlanningTask {
    @Override
    Map<String, Object> command() {
        return Map.of("name", "image");
    }
}
