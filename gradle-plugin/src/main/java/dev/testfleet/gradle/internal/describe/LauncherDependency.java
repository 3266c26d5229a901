package dev.testfleet.gradle.internal.describe;

import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.artifacts.Dependency;
import org.gradle.api.artifacts.component.ModuleComponentIdentifier;
import org.gradle.api.artifacts.result.ResolvedComponentResult;
import org.gradle.api.attributes.Category;
import org.gradle.api.attributes.Usage;
import org.gradle.api.tasks.SourceSet;
import org.gradle.api.tasks.SourceSetContainer;
import org.gradle.api.tasks.TaskProvider;
import org.gradle.api.tasks.testing.Test;
import org.gradle.api.tasks.testing.junitplatform.JUnitPlatformOptions;

import java.io.File;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The JUnit Platform's launcher for a Test task whose classpath lacks it, at the version of the
 * engine there. Gradle's own workers take the launcher from the Gradle distribution, so builds need
 * not declare it.
 */
final class LauncherDependency {
    /** What the names of the configurations begin with. */
    static final String PREFIX = "testfleetLauncher";

    private static final String GROUP = "org.junit.platform";
    private static final String LAUNCHER = "junit-platform-launcher";
    private static final String ENGINE = "junit-platform-engine";
    private static final Pattern JAR =
            Pattern.compile("(" + LAUNCHER + "|" + ENGINE + ")-(\\d.*)\\.jar");

    private final Project project;
    private final TaskProvider<Test> testTask;

    private LauncherDependency(Project project, TaskProvider<Test> testTask) {
        this.project = project;
        this.testTask = testTask;
    }

    /** A configuration that resolves to the launcher, or to nothing where it is not needed. */
    static Configuration configuration(Project project, TaskProvider<Test> testTask, String name) {
        Configuration launcher = project.getConfigurations().create(name);
        launcher.setCanBeConsumed(false);
        launcher.setVisible(false);
        launcher.setTransitive(false);
        launcher.setDescription(
                "The JUnit Platform launcher for '"
                        + testTask.getName()
                        + "', where its classpath has none.");
        launcher.getAttributes()
                .attribute(
                        Usage.USAGE_ATTRIBUTE,
                        project.getObjects().named(Usage.class, Usage.JAVA_RUNTIME));
        launcher.getAttributes()
                .attribute(
                        Category.CATEGORY_ATTRIBUTE,
                        project.getObjects().named(Category.class, Category.LIBRARY));
        LauncherDependency dependency = new LauncherDependency(project, testTask);
        launcher.getDependencies().addAllLater(project.provider(dependency::find));
        return launcher;
    }

    /** Whether a configuration is one that was made here. */
    static boolean isLauncher(Configuration configuration) {
        return configuration.getName().startsWith(PREFIX);
    }

    private List<Dependency> find() {
        Test test = testTask.get();
        if (!(test.getOptions() instanceof JUnitPlatformOptions)) {
            return List.of();
        }
        Map<String, String> versions = versions(test);
        String engine = versions.get(ENGINE);
        if (engine == null || versions.containsKey(LAUNCHER)) {
            return List.of();
        }
        String notation = GROUP + ":" + LAUNCHER + ":" + engine;
        return List.of(project.getDependencies().create(notation));
    }

    // The graph is asked first, as it needs no file: a classpath may hold files that no task has
    // made yet.
    private Map<String, String> versions(Test test) {
        SourceSetContainer sourceSets =
                project.getExtensions().findByType(SourceSetContainer.class);
        Stream<SourceSet> all = sourceSets == null ? Stream.empty() : sourceSets.stream();
        return all.filter(it -> hasClassesOf(test, it))
                .map(SourceSet::getRuntimeClasspathConfigurationName)
                .findFirst()
                .map(name -> versionsInGraph(project.getConfigurations().getByName(name)))
                .filter(versions -> !versions.isEmpty())
                .orElseGet(() -> versionsInFileNames(test));
    }

    private static boolean hasClassesOf(Test test, SourceSet sourceSet) {
        return sourceSet
                .getOutput()
                .getClassesDirs()
                .getFiles()
                .equals(test.getTestClassesDirs().getFiles());
    }

    private static Map<String, String> versionsInGraph(Configuration runtimeClasspath) {
        return runtimeClasspath.getIncoming().getResolutionResult().getAllComponents().stream()
                .map(ResolvedComponentResult::getId)
                .filter(ModuleComponentIdentifier.class::isInstance)
                .map(ModuleComponentIdentifier.class::cast)
                .filter(id -> id.getGroup().equals(GROUP))
                .collect(
                        Collectors.toMap(
                                ModuleComponentIdentifier::getModule,
                                ModuleComponentIdentifier::getVersion,
                                (first, second) -> first));
    }

    private static Map<String, String> versionsInFileNames(Test test) {
        Map<String, String> versions = new LinkedHashMap<>();
        for (File file : test.getClasspath()) {
            Matcher jar = JAR.matcher(file.getName());
            if (jar.matches()) {
                versions.put(jar.group(1), jar.group(2));
            }
        }
        return versions;
    }
}
