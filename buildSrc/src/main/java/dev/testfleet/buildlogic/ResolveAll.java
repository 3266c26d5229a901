package dev.testfleet.buildlogic;

import org.gradle.api.DefaultTask;
import org.gradle.api.GradleException;
import org.gradle.api.artifacts.result.ResolvedComponentResult;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.TaskAction;
import org.gradle.work.DisableCachingByDefault;

/** Resolves every configuration of a project, without building anything. */
@DisableCachingByDefault(because = "It is run for Gradle's writing of lock files")
public abstract class ResolveAll extends DefaultTask {
    /** The root of each configuration's dependencies. */
    @Internal
    public abstract ListProperty<ResolvedComponentResult> getResolved();

    /** Whether Gradle was told to write lock files. */
    @Input
    public abstract Property<Boolean> getWritesLocks();

    /** Says how many configurations were resolved. */
    @TaskAction
    public void resolve() {
        if (!getWritesLocks().get()) {
            throw new GradleException(
                    "failed to write lock files: call it as"
                            + " `./gradlew lockDependencies --write-locks`.");
        }
        getLogger().lifecycle("{} configurations locked", getResolved().get().size());
    }
}
