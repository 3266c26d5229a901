package dev.testfleet.gradle.tasks;

import dev.testfleet.gradle.internal.Json;

import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.util.GradleVersion;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;

/** Prepares, makes an image of everything that workers need, and takes it where it is to go. */
@UntrackedTask(because = "Testfleet's engine compares what the image was made from")
public abstract class ImageTask extends PlanningTask {
    /** Descriptions of what the build is built with; none unless the image gets it. */
    @InputFiles
    @PathSensitive(PathSensitivity.NONE)
    public abstract ConfigurableFileCollection getBuildDependencies();

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

    /**
     * What images get besides the tests, as the engine's request has it.
     *
     * @throws IOException when a description cannot be read
     */
    public Map<String, Object> forBuilds() throws IOException {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("buildModules", merged("modules"));
        described.put("buildFiles", merged("files"));
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

    private ArrayList<String> merged(String name) throws IOException {
        TreeSet<String> all = new TreeSet<>();
        for (File description : getBuildDependencies()) {
            Object found = Json.object(Files.readAllBytes(description.toPath())).get(name);
            ((Collection<?>) found).forEach(one -> all.add(String.valueOf(one)));
        }
        return new ArrayList<>(all);
    }
}
