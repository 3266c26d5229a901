package dev.testfleet.gradle.internal;

import org.gradle.api.invocation.Gradle;

import java.util.List;

/**
 * What {@code dev.testfleet.settings} needs of newer Gradle versions than the rest of the plugin.
 */
public interface BuildLifecycle {
    /**
     * Applies Testfleet to each project before it is configured.
     *
     * @param modulePaths paths of all projects, whose tests the root project will run
     */
    void applyToProjects(Gradle gradle, List<String> modulePaths);
}
