package dev.testfleet.buildlogic;

import org.gradle.api.Plugin;
import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;

/**
 * {@code testfleet.locking}: gradle.lockfile holds the version of every library, those that others
 * bring along included.
 */
public abstract class LockingPlugin implements Plugin<Project> {
    @Override
    public void apply(Project project) {
        project.getDependencyLocking().lockAllConfigurations();
        project.getTasks()
                .register(
                        "lockDependencies",
                        ResolveAll.class,
                        task -> {
                            task.setGroup("help");
                            task.setDescription(
                                    "Writes gradle.lockfile, when called with --write-locks.");
                            task.getWritesLocks()
                                    .set(
                                            project.getGradle()
                                                    .getStartParameter()
                                                    .isWriteDependencyLocks());
                            project.getConfigurations()
                                    .matching(Configuration::isCanBeResolved)
                                    .forEach(
                                            configuration ->
                                                    task.getResolved()
                                                            .add(
                                                                    configuration
                                                                            .getIncoming()
                                                                            .getResolutionResult()
                                                                            .getRootComponent()));
                        });
    }
}
