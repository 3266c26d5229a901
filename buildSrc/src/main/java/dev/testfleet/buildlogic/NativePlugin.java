package dev.testfleet.buildlogic;

import org.gradle.api.Plugin;
import org.gradle.api.Project;
import org.gradle.api.Task;
import org.gradle.api.attributes.Usage;
import org.gradle.api.file.Directory;
import org.gradle.api.plugins.JavaPlugin;
import org.gradle.api.provider.Provider;
import org.gradle.api.tasks.TaskProvider;
import org.gradle.language.base.plugins.LifecycleBasePlugin;
import org.gradle.language.jvm.tasks.ProcessResources;

import java.io.File;

/**
 * {@code testfleet.native}: adds the task {@code buildNative} and puts the engine's library and the
 * agent among the project's resources, in {@code native/<os>-<arch>/}.
 */
public abstract class NativePlugin implements Plugin<Project> {
    private static final String TASK = "buildNative";
    private static final String PROFILE = "testfleet.nativeProfile";
    private static final String PREBUILT = "testfleet.prebuiltNative";

    @Override
    public void apply(Project project) {
        Provider<Directory> output = project.getLayout().getBuildDirectory().dir("native-side");
        Provider<String> prebuilt = project.getProviders().gradleProperty(PREBUILT);
        TaskProvider<? extends Task> build =
                prebuilt.isPresent()
                        ? registerPrebuilt(project, prebuilt.get(), output)
                        : registerCargo(project, output);
        build.configure(task -> task.setGroup(LifecycleBasePlugin.BUILD_GROUP));
        project.getPluginManager().withPlugin("java", plugin -> pack(project, build));
        publish(project, build);
    }

    private static TaskProvider<CargoBuild> registerCargo(
            Project project, Provider<Directory> output) {
        File workspace = project.getRootDir();
        return project.getTasks()
                .register(
                        TASK,
                        CargoBuild.class,
                        task -> {
                            task.setDescription(
                                    "Builds the engine's library, the agent and the command.");
                            task.getWorkspace().set(workspace);
                            task.getSources()
                                    .from(
                                            project.fileTree(
                                                    new File(workspace, "native"),
                                                    tree ->
                                                            tree.exclude(
                                                                    "fuzz/**",
                                                                    "*/tests/**",
                                                                    "*/proptest-regressions/**",
                                                                    "**/*.snap")))
                                    .from(new File(workspace, ".cargo/config.toml"))
                                    .from(new File(workspace, "Cargo.toml"))
                                    .from(new File(workspace, "Cargo.lock"));
                            task.getProfile()
                                    .set(
                                            project.getProviders()
                                                    .gradleProperty(PROFILE)
                                                    .orElse("release"));
                            task.getToolchain()
                                    .set(
                                            project.getProviders()
                                                    .of(CargoToolchain.class, spec -> {}));
                            task.getOutput().set(output);
                        });
    }

    private static TaskProvider<PrebuiltNative> registerPrebuilt(
            Project project, String folder, Provider<Directory> output) {
        return project.getTasks()
                .register(
                        TASK,
                        PrebuiltNative.class,
                        task -> {
                            task.setDescription(
                                    "Takes the native binaries from -P" + PREBUILT + ".");
                            task.getSource().set(project.getRootProject().file(folder));
                            task.getOutput().set(output);
                        });
    }

    private static void pack(Project project, TaskProvider<? extends Task> build) {
        project.getTasks()
                .named(
                        JavaPlugin.PROCESS_RESOURCES_TASK_NAME,
                        ProcessResources.class,
                        task -> task.from(build, files -> files.include("native/**")));
    }

    /** Lets another project depend on the whole output folder, the command included. */
    private static void publish(Project project, TaskProvider<? extends Task> build) {
        project.getConfigurations()
                .create(
                        "nativeElements",
                        configuration -> {
                            configuration.setCanBeResolved(false);
                            configuration.setDescription("The native side, built.");
                            configuration
                                    .getAttributes()
                                    .attribute(
                                            Usage.USAGE_ATTRIBUTE,
                                            project.getObjects()
                                                    .named(Usage.class, "testfleet-native"));
                            configuration.getOutgoing().artifact(build);
                        });
    }
}
