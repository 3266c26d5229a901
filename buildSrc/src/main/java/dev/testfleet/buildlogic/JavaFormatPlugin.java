package dev.testfleet.buildlogic;

import org.gradle.api.Plugin;
import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.attributes.Usage;
import org.gradle.api.file.ConfigurableFileTree;
import org.gradle.api.plugins.JvmEcosystemPlugin;
import org.gradle.api.tasks.TaskProvider;
import org.gradle.language.base.plugins.LifecycleBasePlugin;

/** {@code testfleet.java-format}: the Java sources below src/ are formatted by one program. */
public abstract class JavaFormatPlugin implements Plugin<Project> {
    private static final String FORMATTER = "googleJavaFormat";

    @Override
    public void apply(Project project) {
        project.getPluginManager().apply(LifecycleBasePlugin.class);
        project.getPluginManager().apply(JvmEcosystemPlugin.class);
        Configuration formatter = project.getConfigurations().create(FORMATTER);
        formatter.setCanBeConsumed(false);
        formatter.setDescription("The program that formats Java sources.");
        formatter
                .getAttributes()
                .attribute(
                        Usage.USAGE_ATTRIBUTE,
                        project.getObjects().named(Usage.class, Usage.JAVA_RUNTIME));
        Libraries.add(project, FORMATTER, "google-java-format");
        ConfigurableFileTree sources = project.fileTree("src", tree -> tree.include("**/*.java"));
        project.getTasks()
                .withType(JavaFormatTask.class)
                .configureEach(
                        task -> {
                            task.getFormatter().from(formatter);
                            task.getSources().from(sources);
                        });

        TaskProvider<JavaFormat> format =
                project.getTasks()
                        .register(
                                "javaFormat",
                                JavaFormat.class,
                                task -> {
                                    task.setGroup("formatting");
                                    task.setDescription("Formats Java sources in place.");
                                });
        TaskProvider<JavaFormatCheck> check =
                project.getTasks()
                        .register(
                                "javaFormatCheck",
                                JavaFormatCheck.class,
                                task -> {
                                    task.setGroup(LifecycleBasePlugin.VERIFICATION_GROUP);
                                    task.setDescription("Checks that Java sources are formatted.");
                                    task.mustRunAfter(format);
                                    task.getReport()
                                            .convention(
                                                    project.getLayout()
                                                            .getBuildDirectory()
                                                            .file("reports/java-format.txt"));
                                });
        project.getTasks()
                .named(LifecycleBasePlugin.CHECK_TASK_NAME, task -> task.dependsOn(check));
    }
}
