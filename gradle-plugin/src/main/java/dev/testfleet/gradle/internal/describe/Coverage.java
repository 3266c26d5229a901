package dev.testfleet.gradle.internal.describe;

import dev.testfleet.gradle.tasks.RunParallelTask;

import org.gradle.api.Named;
import org.gradle.api.Project;
import org.gradle.api.tasks.TaskCollection;
import org.gradle.api.tasks.testing.Test;
import org.gradle.process.CommandLineArgumentProvider;
import org.gradle.testing.jacoco.plugins.JacocoTaskExtension;
import org.gradle.testing.jacoco.tasks.JacocoReportBase;

import java.io.File;
import java.util.List;

/** What Gradle's plugin 'jacoco' adds to a Test task. */
final class Coverage {
    private Coverage() {}

    /** Where the task's coverage goes; null when none is measured, or not into a file. */
    static File file(Test test) {
        JacocoTaskExtension jacoco = test.getExtensions().findByType(JacocoTaskExtension.class);
        if (jacoco == null
                || !jacoco.isEnabled()
                || jacoco.getOutput() != JacocoTaskExtension.Output.FILE) {
            return null;
        }
        return jacoco.getDestinationFile();
    }

    /** The argument that makes a JVM measure; none when it does not. */
    static List<String> arguments(Test test) {
        JacocoTaskExtension jacoco = test.getExtensions().findByType(JacocoTaskExtension.class);
        return jacoco == null || !jacoco.isEnabled() ? List.of() : List.of(jacoco.getAsJvmArg());
    }

    /**
     * Whether a provider is JaCoCo's own. It holds its Test task, which no other task may do with
     * the configuration cache: {@link #arguments} has what it provides.
     */
    static boolean isProvider(CommandLineArgumentProvider provider) {
        return provider instanceof Named && ((Named) provider).getName().equals("jacocoAgent");
    }

    /**
     * Reports and verifications of a project read what its Testfleet run measured, when both are
     * asked for in one call.
     */
    static void readAfterRuns(Project project) {
        project.getPluginManager()
                .withPlugin(
                        "jacoco",
                        jacoco ->
                                project.getTasks()
                                        .withType(JacocoReportBase.class)
                                        .configureEach(
                                                report -> report.mustRunAfter(runs(project))));
    }

    private static TaskCollection<RunParallelTask> runs(Project project) {
        return project.getTasks().withType(RunParallelTask.class);
    }
}
