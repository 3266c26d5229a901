package dev.testfleet.gradle;

import dev.testfleet.gradle.internal.Aggregation;
import dev.testfleet.gradle.internal.DockerOptions;
import dev.testfleet.gradle.internal.EngineService;
import dev.testfleet.gradle.internal.History;
import dev.testfleet.gradle.internal.ImageOptions;
import dev.testfleet.gradle.internal.KubernetesOptions;
import dev.testfleet.gradle.internal.Rerun;
import dev.testfleet.gradle.internal.RunOptions;
import dev.testfleet.gradle.internal.describe.BuildDependencies;
import dev.testfleet.gradle.internal.describe.DescribeDependenciesTask;
import dev.testfleet.gradle.tasks.ImageTask;
import dev.testfleet.gradle.tasks.PlanningTask;
import dev.testfleet.gradle.tasks.PrepareTask;
import dev.testfleet.gradle.tasks.RunParallelTask;
import dev.testfleet.gradle.tasks.RunWorkerTask;
import dev.testfleet.gradle.tasks.TestfleetTask;

import org.gradle.api.Plugin;
import org.gradle.api.Project;
import org.gradle.api.file.Directory;
import org.gradle.api.file.FileCollection;
import org.gradle.api.file.ProjectLayout;
import org.gradle.api.invocation.Gradle;
import org.gradle.api.provider.Provider;
import org.gradle.api.tasks.TaskProvider;

import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * {@code dev.testfleet}: the extension {@code testfleet { }}, the dependency configuration {@code
 * testfleet} that names the modules whose tests are run, and the tasks {@code prepare}, {@code
 * image}, {@code runParallel} and {@code runWorker}.
 */
public abstract class TestfleetPlugin implements Plugin<Project> {
    private static final String GROUP = "testfleet";

    @Override
    public void apply(Project project) {
        TestfleetExtension extension =
                project.getExtensions().create("testfleet", TestfleetExtension.class);
        setConventions(project, extension);
        FileCollection descriptions = Aggregation.descriptions(project, extension.getTestTasks());
        project.getPluginManager()
                .withPlugin(
                        "java-base",
                        java -> {
                            project.getPluginManager().apply(TestfleetModulePlugin.class);
                            Aggregation.addModule(project, project);
                        });
        Provider<EngineService> engine = EngineService.register(project);
        project.getTasks()
                .withType(TestfleetTask.class)
                .configureEach(
                        task -> {
                            task.setGroup(GROUP);
                            task.getEngine().convention(engine);
                            task.usesService(engine);
                            task.getDescriptions().from(descriptions);
                            setConventions(project, extension, task);
                        });
        describeDependencies(project, extension.getImage());
        registerTasks(project, extension);
    }

    private static void registerTasks(Project project, TestfleetExtension extension) {
        project.getTasks()
                .register(
                        "prepare",
                        PrepareTask.class,
                        task -> task.setDescription("Finds all tests and plans who runs what."));
        project.getTasks()
                .register(
                        "image",
                        ImageTask.class,
                        task -> {
                            task.setDescription("Makes an image of what workers need.");
                            task.getDevelopment().convention(extension.getImage().getDevelopment());
                            task.getGradleDistribution()
                                    .convention(
                                            project.provider(
                                                    project.getGradle()::getGradleHomeDir));
                        });
        project.getTasks()
                .register(
                        "runParallel",
                        RunParallelTask.class,
                        task -> task.setDescription("Runs all tests on all workers."));
        project.getTasks()
                .register(
                        "runWorker",
                        RunWorkerTask.class,
                        task -> {
                            task.setDescription(
                                    "Runs one group of the plan in this terminal: -Pworker=5.");
                            task.getWorker()
                                    .convention(project.getProviders().gradleProperty("worker"));
                        });
    }

    // Nothing is resolved or described unless an image gets it.
    private static void describeDependencies(Project project, ImageSpec image) {
        Provider<Boolean> wanted =
                image.getDependencyCache().zip(image.getDevelopment(), Boolean::logicalOr);
        TaskProvider<DescribeDependenciesTask> own = BuildDependencies.task(project);
        FileCollection modules = Aggregation.dependencies(project);
        Callable<Object> files =
                () ->
                        wanted.get()
                                ? List.of(
                                        own.flatMap(DescribeDependenciesTask::getDocument), modules)
                                : List.of();
        project.getTasks()
                .withType(PlanningTask.class)
                .configureEach(task -> task.getBuildDependencies().from(files));
    }

    private static void setConventions(Project project, TestfleetExtension extension) {
        ProjectLayout layout = project.getLayout();
        Provider<Directory> build = layout.getBuildDirectory();
        extension.getBackend().convention("local");
        extension
                .getWorkers()
                .convention(project.provider(() -> Runtime.getRuntime().availableProcessors()));
        extension.getTestTasks().convention(java.util.Set.of("test"));
        extension.getSplit().convention("auto");
        extension.getOrder().convention(List.of("failed", "new", "longest"));
        extension.getLocks().convention("run");
        extension.getReuse().convention("auto");
        extension.getIgnoreFailures().convention(false);
        extension
                .getStateDir()
                .convention(
                        layout.dir(
                                project.provider(
                                        () -> new File(projectCacheDir(project), "testfleet"))));
        extension
                .getTimingsFile()
                .convention(extension.getStateDir().map(it -> it.file("timings.json")));
        RunOptions.setConventions(extension);
        DockerOptions.setConventions(extension.getDocker());
        KubernetesOptions.setConventions(extension.getKubernetes());
        ImageOptions.setConventions(extension.getImage());
        History.setConventions(extension.getHistory(), project.getProviders());
        extension.getOutputDir().convention(build.map(it -> it.dir("testfleet")));
        extension.getResultsDir().convention(build.map(it -> it.dir("test-results/runParallel")));
        extension.getReportsDir().convention(build.map(it -> it.dir("reports/testfleet")));
    }

    private static File projectCacheDir(Project project) {
        File chosen = project.getGradle().getStartParameter().getProjectCacheDir();
        return chosen != null ? chosen : new File(project.getRootDir(), ".gradle");
    }

    private static void setConventions(
            Project project, TestfleetExtension extension, TestfleetTask task) {
        Gradle gradle = project.getGradle();
        task.getBuildName().convention(project.getRootProject().getName());
        task.getTestTasks().convention(extension.getTestTasks());
        task.getBackend().convention(extension.getBackend());
        task.getWorkers().convention(extension.getWorkers().map(String::valueOf));
        task.getSplit().convention(extension.getSplit());
        task.getSplitClasses().convention(extension.getSplitClasses());
        task.getOrder().convention(extension.getOrder());
        task.getLocks().convention(extension.getLocks());
        task.getReuse().convention(extension.getReuse());
        if (Rerun.isAskedFor(gradle.getStartParameter(), task.getName(), task.getPath())) {
            task.getReuse().set("off");
        }
        task.getQuarantineFile().convention(extension.getQuarantineFile());
        task.getStateDir().convention(extension.getStateDir());
        task.getConstraints().convention(extension.getConstraints().getAll());
        task.getHistory()
                .convention(project.provider(() -> History.describe(extension.getHistory())));
        task.getRunOptions().convention(project.provider(() -> RunOptions.describe(extension)));
        task.getDockerOptions()
                .convention(project.provider(() -> DockerOptions.describe(extension.getDocker())));
        task.getKubernetesOptions()
                .convention(
                        project.provider(
                                () -> KubernetesOptions.describe(extension.getKubernetes())));
        task.getImageOptions()
                .convention(project.provider(() -> ImageOptions.describe(extension.getImage())));
        task.getIgnoreFailures().convention(extension.getIgnoreFailures());
        task.getPassEnvironment().convention(extension.getPassEnvironment());
        task.getTimingsFile().convention(extension.getTimingsFile());
        task.getOutputDir().convention(extension.getOutputDir());
        task.getResultsDir().convention(extension.getResultsDir());
        task.getReportsDir().convention(extension.getReportsDir());
        task.getRoots()
                .putAll(
                        Map.of(
                                "project", project.getRootDir(),
                                "gradleHome", gradle.getGradleUserHomeDir()));
        task.getRoots().put("build", extension.getOutputDir().getAsFile());
        // What lies in a read-only cache is what lies in Gradle's own elsewhere. Its value, not its
        // provider: the configuration cache of Gradle 8.8 can't read maps back beside one.
        String readOnlyCache =
                project.getProviders().environmentVariable("GRADLE_RO_DEP_CACHE").getOrNull();
        if (readOnlyCache != null) {
            task.getRoots().put("gradleCache", new File(readOnlyCache));
        }
        task.getRoots().putAll(extension.getRoots());
    }
}
