package dev.testfleet.buildlogic;

import org.gradle.api.Plugin;
import org.gradle.api.Project;
import org.gradle.api.plugins.JavaPlugin;
import org.gradle.api.tasks.bundling.AbstractArchiveTask;
import org.gradle.api.tasks.compile.JavaCompile;
import org.gradle.api.tasks.testing.Test;
import org.gradle.api.tasks.testing.logging.TestExceptionFormat;

import java.util.List;

/** {@code testfleet.java-conventions}: how every Java project is compiled, tested and formatted. */
public abstract class JavaConventionsPlugin implements Plugin<Project> {
    private static final int BUILD_RELEASE = 17;

    // "classfile" complains about other people's jars, "options" about JDKs that are newer than
    // the build's own, "processing" about annotations that no processor claims.
    private static final List<String> COMPILER_ARGUMENTS =
            List.of("-Xlint:all,-classfile,-options,-processing", "-Werror");

    @Override
    public void apply(Project project) {
        project.getPluginManager().apply(JavaPlugin.class);
        project.getPluginManager().apply(JavaFormatPlugin.class);
        project.getPluginManager().apply(LockingPlugin.class);
        configureCompilation(project);
        configureTests(project);
        configureArchives(project);
    }

    private static void configureCompilation(Project project) {
        JavaConventionsExtension conventions =
                project.getExtensions().create("javaConventions", JavaConventionsExtension.class);
        conventions.getRelease().convention(BUILD_RELEASE);
        project.getTasks()
                .withType(JavaCompile.class)
                .configureEach(
                        task -> {
                            task.getOptions().setEncoding("UTF-8");
                            task.getOptions().getCompilerArgs().addAll(COMPILER_ARGUMENTS);
                            task.getOptions().getRelease().convention(BUILD_RELEASE);
                        });
        project.getTasks()
                .named(
                        JavaPlugin.COMPILE_JAVA_TASK_NAME,
                        JavaCompile.class,
                        task ->
                                task.getOptions()
                                        .getRelease()
                                        .convention(conventions.getRelease()));
    }

    private static void configureTests(Project project) {
        Libraries.add(project, JavaPlugin.TEST_IMPLEMENTATION_CONFIGURATION_NAME, "junit-jupiter");
        Libraries.add(
                project,
                JavaPlugin.TEST_RUNTIME_ONLY_CONFIGURATION_NAME,
                "junit-platform-launcher");
        project.getTasks()
                .withType(Test.class)
                .configureEach(
                        test -> {
                            test.useJUnitPlatform();
                            test.getTestLogging().setExceptionFormat(TestExceptionFormat.FULL);
                        });
    }

    private static void configureArchives(Project project) {
        project.getTasks()
                .withType(AbstractArchiveTask.class)
                .configureEach(
                        archive -> {
                            archive.setPreserveFileTimestamps(false);
                            archive.setReproducibleFileOrder(true);
                        });
    }
}
