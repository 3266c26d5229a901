package dev.testfleet.gradle.internal.describe;

import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.artifacts.ResolvableDependencies;
import org.gradle.api.artifacts.component.ComponentSelector;
import org.gradle.api.artifacts.component.ModuleComponentIdentifier;
import org.gradle.api.artifacts.component.ModuleComponentSelector;
import org.gradle.api.artifacts.result.DependencyResult;
import org.gradle.api.artifacts.result.ResolvedComponentResult;
import org.gradle.api.artifacts.result.ResolvedDependencyResult;
import org.gradle.api.file.FileCollection;
import org.gradle.api.initialization.Settings;
import org.gradle.api.initialization.dsl.ScriptHandler;
import org.gradle.api.invocation.Gradle;
import org.gradle.api.plugins.ExtensionAware;
import org.gradle.api.plugins.ExtraPropertiesExtension;
import org.gradle.api.tasks.SourceSet;
import org.gradle.api.tasks.SourceSetContainer;
import org.gradle.api.tasks.TaskProvider;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * What a project is built with: the class paths of its source sets, their annotation processors,
 * the plugins of its build script and of the settings, and the tools that these plugins resolve
 * when they run, such as Checkstyle, JaCoCo's agent or Kotlin's compiler.
 */
public final class BuildDependencies {
    private static final String TASK = "testfleetDescribeDependencies";
    // Of the base plugin: what the project publishes, and what others get of it.
    private static final Set<String> OWN = Set.of("archives", "default");
    private static final String SETTINGS = "dev.testfleet.settings-classpath";

    private BuildDependencies() {}

    /** Makes the plugins of the settings known to the projects. */
    public static void ofSettings(Settings settings) {
        extra(settings.getGradle())
                .set(
                        SETTINGS,
                        settings.getBuildscript()
                                .getConfigurations()
                                .getByName(ScriptHandler.CLASSPATH_CONFIGURATION));
    }

    /** The task that describes them; it resolves nothing unless it is to run. */
    public static TaskProvider<DescribeDependenciesTask> task(Project project) {
        if (project.getTasks().getNames().contains(TASK)) {
            return project.getTasks().named(TASK, DescribeDependenciesTask.class);
        }
        return project.getTasks()
                .register(
                        TASK,
                        DescribeDependenciesTask.class,
                        task -> {
                            task.setDescription("Writes down what the project is built with.");
                            task.getDocument()
                                    .set(
                                            project.getLayout()
                                                    .getBuildDirectory()
                                                    .file("testfleet-module/dependencies.json"));
                            List<Configuration> needed = configurations(project);
                            needed.forEach(it -> describe(it, false, task));
                            new ArrayList<>(project.getConfigurations())
                                    .stream()
                                            .filter(it -> isTool(it) && !needed.contains(it))
                                            .forEach(it -> describe(it, true, task));
                        });
    }

    // What a tool lacks is the business of whoever runs it.
    private static void describe(
            Configuration resolved, boolean lenient, DescribeDependenciesTask task) {
        ResolvableDependencies incoming = resolved.getIncoming();
        task.getModules()
                .addAll(
                        incoming.getResolutionResult()
                                .getRootComponent()
                                .map(BuildDependencies::modules));
        task.getFiles().from(files(incoming, lenient));
    }

    private static boolean isTool(Configuration configuration) {
        return configuration.isCanBeResolved() && !OWN.contains(configuration.getName());
    }

    private static List<Configuration> configurations(Project project) {
        List<Configuration> all = new ArrayList<>();
        SourceSetContainer sourceSets =
                project.getExtensions().findByType(SourceSetContainer.class);
        if (sourceSets != null) {
            for (SourceSet sourceSet : sourceSets) {
                Stream.of(
                                sourceSet.getCompileClasspathConfigurationName(),
                                sourceSet.getRuntimeClasspathConfigurationName(),
                                sourceSet.getAnnotationProcessorConfigurationName())
                        .map(project.getConfigurations()::getByName)
                        .forEach(all::add);
            }
        }
        all.addAll(project.getConfigurations().matching(LauncherDependency::isLauncher));
        all.add(
                project.getBuildscript()
                        .getConfigurations()
                        .getByName(ScriptHandler.CLASSPATH_CONFIGURATION));
        ExtraPropertiesExtension extra = extra(project.getGradle());
        if (extra.has(SETTINGS)) {
            all.add((Configuration) extra.get(SETTINGS));
        }
        return all;
    }

    private static ExtraPropertiesExtension extra(Gradle gradle) {
        return ((ExtensionAware) gradle).getExtensions().getExtraProperties();
    }

    private static FileCollection files(ResolvableDependencies incoming, boolean lenient) {
        return incoming.artifactView(
                        view -> {
                            view.componentFilter(id -> id instanceof ModuleComponentIdentifier);
                            view.lenient(lenient);
                        })
                .getFiles();
    }

    // A version that lost is in the graph as what was asked for: Gradle reads its metadata before
    // it knows.
    private static Set<String> modules(ResolvedComponentResult root) {
        Set<String> modules = new TreeSet<>();
        Set<ResolvedComponentResult> seen = new HashSet<>(Set.of(root));
        Deque<ResolvedComponentResult> left = new ArrayDeque<>(seen);
        while (!left.isEmpty()) {
            ResolvedComponentResult component = left.pop();
            if (component.getId() instanceof ModuleComponentIdentifier) {
                ModuleComponentIdentifier id = (ModuleComponentIdentifier) component.getId();
                modules.add(id.getGroup() + ":" + id.getModule() + ":" + id.getVersion());
            }
            for (DependencyResult dependency : component.getDependencies()) {
                ComponentSelector requested = dependency.getRequested();
                if (requested instanceof ModuleComponentSelector) {
                    addRequested((ModuleComponentSelector) requested, modules);
                }
                if (dependency instanceof ResolvedDependencyResult) {
                    ResolvedComponentResult selected =
                            ((ResolvedDependencyResult) dependency).getSelected();
                    if (seen.add(selected)) {
                        left.push(selected);
                    }
                }
            }
        }
        return modules;
    }

    private static void addRequested(ModuleComponentSelector requested, Set<String> modules) {
        if (!requested.getVersion().isEmpty()) {
            modules.add(
                    requested.getGroup()
                            + ":"
                            + requested.getModule()
                            + ":"
                            + requested.getVersion());
        }
    }
}
