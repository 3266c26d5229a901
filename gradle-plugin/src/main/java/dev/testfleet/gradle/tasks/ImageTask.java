package dev.testfleet.gradle.tasks;

import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.util.GradleVersion;

import java.io.File;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** Prepares, makes an image of everything that workers need, and takes it where it is to go. */
@UntrackedTask(because = "Testfleet's engine compares what the image was made from")
public abstract class ImageTask extends PlanningTask {
    /** Whether there is a second image to work in. */
    @Input
    public abstract Property<Boolean> getDevelopment();

    /** Home of the Gradle that runs the build. */
    @Internal
    public abstract Property<File> getGradleDistribution();

    @Override
    Map<String, Object> command() {
        return Map.of("name", "image");
    }

    @Override
    public Map<String, Object> forBuilds() throws IOException {
        Map<String, Object> described = super.forBuilds();
        if (getDevelopment().get()) {
            Map<String, Object> development = new LinkedHashMap<>();
            development.put("gradleHome", getGradleDistribution().get());
            development.put("gradleVersion", GradleVersion.current().getVersion());
            development.put("javaHome", new File(System.getProperty("java.home")));
            development.put("javaVersion", Runtime.version().feature());
            described.put("development", development);
        }
        return described;
    }
}
