package dev.testfleet.buildlogic;

import org.gradle.api.Project;
import org.gradle.api.artifacts.MinimalExternalModuleDependency;
import org.gradle.api.artifacts.VersionCatalogsExtension;
import org.gradle.api.provider.Provider;

/** The libraries of gradle/libs.versions.toml, by alias. */
final class Libraries {
    private Libraries() {}

    /** Adds the library {@code alias} to the configuration of that name. */
    static void add(Project project, String configuration, String alias) {
        project.getDependencies().addProvider(configuration, find(project, alias));
    }

    private static Provider<MinimalExternalModuleDependency> find(Project project, String alias) {
        return project.getExtensions()
                .getByType(VersionCatalogsExtension.class)
                .named("libs")
                .findLibrary(alias)
                .orElseThrow(
                        () ->
                                new IllegalStateException(
                                        "gradle/libs.versions.toml has no library " + alias));
    }
}
