package dev.testfleet.gradle.internal.gradle88;

import dev.testfleet.gradle.TestfleetModulePlugin;
import dev.testfleet.gradle.TestfleetPlugin;
import dev.testfleet.gradle.internal.Aggregation;
import dev.testfleet.gradle.internal.BuildLifecycle;

import org.gradle.api.IsolatedAction;
import org.gradle.api.Project;
import org.gradle.api.invocation.Gradle;

import java.util.List;
import java.util.Map;

/** Applies plugins by {@code gradle.lifecycle}, which isolated projects allow. */
public final class IsolatedBuildLifecycle implements BuildLifecycle {
    @Override
    public void applyToProjects(Gradle gradle, List<String> modulePaths) {
        gradle.getLifecycle().beforeProject(new ApplyTestfleet(modulePaths));
    }

    private static final class ApplyTestfleet implements IsolatedAction<Project> {
        private static final long serialVersionUID = 1L;

        private final String[] modulePaths;

        ApplyTestfleet(List<String> modulePaths) {
            this.modulePaths = modulePaths.toArray(new String[0]);
        }

        @Override
        public void execute(Project project) {
            project.getPluginManager().apply(TestfleetModulePlugin.class);
            if (project.getPath().equals(":")) {
                project.getPluginManager().apply(TestfleetPlugin.class);
                for (String path : modulePaths) {
                    Aggregation.addModule(
                            project, project.getDependencies().project(Map.of("path", path)));
                }
            }
        }
    }
}
