package dev.testfleet.gradle.internal;

import org.gradle.StartParameter;
import org.gradle.TaskExecutionRequest;

import java.util.List;

/**
 * Gradle's own options {@code --rerun} and {@code --rerun-tasks}. They are about up-to-date checks,
 * which Testfleet makes for each unit by itself. An option of Testfleet's own with that name would
 * make Gradle say at every call that it hides Gradle's.
 */
public final class Rerun {
    private Rerun() {}

    /** Whether a task, by its name or path, is to do again what it did before. */
    public static boolean isAskedFor(StartParameter start, String name, String path) {
        if (start.isRerunTasks()) {
            return true;
        }
        return start.getTaskRequests().stream()
                .map(TaskExecutionRequest::getArgs)
                .anyMatch(args -> isAskedFor(args, name, path));
    }

    /** An option belongs to the last task before it. Later tasks can't be told from values. */
    private static boolean isAskedFor(List<String> args, String name, String path) {
        int task = Math.max(args.lastIndexOf(name), args.lastIndexOf(path));
        return task >= 0 && args.lastIndexOf("--rerun") > task;
    }
}
