package dev.testfleet.gradle;

import dev.testfleet.gradle.internal.BuildLifecycle;
import dev.testfleet.gradle.internal.describe.BuildDependencies;

import org.gradle.api.GradleException;
import org.gradle.api.Plugin;
import org.gradle.api.initialization.ProjectDescriptor;
import org.gradle.api.initialization.Settings;
import org.gradle.util.GradleVersion;

import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/**
 * {@code dev.testfleet.settings}: applies {@code dev.testfleet.module} to every project of a build
 * and {@code dev.testfleet} to its root, which then runs the tests of all of them.
 */
public abstract class TestfleetSettingsPlugin implements Plugin<Settings> {
    private static final GradleVersion OLDEST = GradleVersion.version("8.8");

    @Override
    public void apply(Settings settings) {
        GradleVersion current = GradleVersion.current();
        if (current.getBaseVersion().compareTo(OLDEST) < 0) {
            throw new GradleException(
                    "failed to apply dev.testfleet.settings"
                            + "\n  because: it needs Gradle 8.8 or later, and this is "
                            + current.getVersion()
                            + "\n"
                            + "  hint: apply dev.testfleet to the root project and"
                            + " dev.testfleet.module to its modules, as docs/configuration.md shows"
                            + " under 'Before Gradle 8.8'");
        }
        BuildLifecycle lifecycle =
                ServiceLoader.load(BuildLifecycle.class, BuildLifecycle.class.getClassLoader())
                        .findFirst()
                        .orElseThrow(
                                () -> new IllegalStateException("the plugin's jar is incomplete"));
        BuildDependencies.ofSettings(settings);
        settings.getGradle()
                .settingsEvaluated(
                        evaluated -> {
                            List<String> modules = new ArrayList<>();
                            collect(evaluated.getRootProject(), modules);
                            lifecycle.applyToProjects(evaluated.getGradle(), modules);
                        });
    }

    private static void collect(ProjectDescriptor project, List<String> paths) {
        paths.add(project.getPath());
        project.getChildren().forEach(child -> collect(child, paths));
    }
}
