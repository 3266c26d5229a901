package dev.testfleet.buildlogic;

import org.gradle.api.tasks.TaskAction;
import org.gradle.api.tasks.UntrackedTask;

/** Formats Java files where they lie. */
@UntrackedTask(because = "It changes its own inputs")
public abstract class JavaFormat extends JavaFormatTask {
    /** Rewrites the files that are not formatted. */
    @TaskAction
    public void format() {
        runFormatter("--replace");
    }
}
