package dev.testfleet.gradle;

import dev.testfleet.gradle.internal.describe.ModuleVariants;

import org.gradle.api.Plugin;
import org.gradle.api.Project;

/**
 * {@code dev.testfleet.module}: makes the Test tasks of a project known to the project with {@code
 * dev.testfleet} that declares it. It configures no task until a Testfleet task is to run.
 */
public abstract class TestfleetModulePlugin implements Plugin<Project> {
    @Override
    public void apply(Project project) {
        ModuleVariants.publish(project);
    }
}
