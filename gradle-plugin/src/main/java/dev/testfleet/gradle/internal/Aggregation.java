package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.internal.describe.ModuleVariants;

import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.file.FileCollection;
import org.gradle.api.provider.Provider;

import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** The modules whose tests a project runs, and the descriptions of their Test tasks. */
public final class Aggregation {
    private static final String DECLARED = "testfleet";
    private static final String RESOLVED = "testfleetModules";

    private Aggregation() {}

    /**
     * The descriptions of all Test tasks that are called {@code testTasks}, in all modules that are
     * declared in the configuration {@code testfleet}. A module need not have each of them.
     */
    public static FileCollection descriptions(Project project, Provider<Set<String>> testTasks) {
        Configuration declared = project.getConfigurations().create(DECLARED);
        declared.setCanBeResolved(false);
        declared.setCanBeConsumed(false);
        declared.setDescription("The projects whose tests Testfleet runs.");
        Configuration resolved = project.getConfigurations().create(RESOLVED);
        resolved.setCanBeConsumed(false);
        resolved.setVisible(false);
        resolved.setDescription("Descriptions of the Test tasks of the projects in 'testfleet'.");
        resolved.extendsFrom(declared);
        resolved.attributes(ModuleVariants.attributes(project.getObjects()));
        Callable<Object> all =
                () ->
                        testTasks.get().stream()
                                .map(name -> filesOf(resolved, name))
                                .collect(Collectors.toList());
        return project.files(all);
    }

    /** What the declared modules are built with, described by each. */
    public static FileCollection dependencies(Project project) {
        return filesOf(
                project.getConfigurations().getByName(RESOLVED), ModuleVariants.DEPENDENCIES);
    }

    private static FileCollection filesOf(Configuration modules, String described) {
        return modules.getIncoming()
                .artifactView(
                        view -> view.getAttributes().attribute(ModuleVariants.TEST_TASK, described))
                .getFiles();
    }

    /** Declares {@code module} to {@code project}, as {@code testfleet project(':app')} does. */
    public static void addModule(Project project, Object module) {
        project.getDependencies().add(DECLARED, module);
    }
}
