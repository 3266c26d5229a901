package dev.testfleet.gradle.tasks;

import org.gradle.api.tasks.UntrackedTask;

import java.util.Map;

/** Prepares, makes an image of everything that workers need, and takes it where it is to go. */
@UntrackedTask(because = "Testfleet's engine compares what the image was made from")
public abstract class ImageTask extends PlanningTask {
    @Override
    Map<String, Object> command() {
        return Map.of("name", "image");
    }
}
