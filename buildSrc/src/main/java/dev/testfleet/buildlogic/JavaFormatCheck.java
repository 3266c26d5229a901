package dev.testfleet.buildlogic;

import org.gradle.api.GradleException;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.tasks.CacheableTask;
import org.gradle.api.tasks.OutputFile;
import org.gradle.api.tasks.TaskAction;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;

/** Fails when a Java file is not formatted, and names it. */
@CacheableTask
public abstract class JavaFormatCheck extends JavaFormatTask {
    /** The files that are not formatted, one a line; empty when the check passes. */
    @OutputFile
    public abstract RegularFileProperty getReport();

    /**
     * Compares every file with what the formatter would make of it.
     *
     * @throws IOException when the report cannot be written
     */
    @TaskAction
    public void check() throws IOException {
        List<String> unformatted = runFormatter("--dry-run");
        Files.write(getReport().get().getAsFile().toPath(), unformatted);
        if (!unformatted.isEmpty()) {
            throw new GradleException(
                    "Java files are not formatted:\n  "
                            + String.join("\n  ", unformatted)
                            + "\nRun `./gradlew javaFormat` and look at what it changed.");
        }
    }
}
