package dev.testfleet.gradle.internal.describe;

import org.gradle.api.Action;
import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.attributes.Attribute;
import org.gradle.api.attributes.AttributeContainer;
import org.gradle.api.attributes.Category;
import org.gradle.api.attributes.Usage;
import org.gradle.api.model.ObjectFactory;
import org.gradle.api.tasks.TaskProvider;
import org.gradle.api.tasks.testing.Test;

import java.util.Locale;

/**
 * How the Test tasks of a module become known elsewhere: one consumable configuration with one
 * variant for each Test task, whose artifact is the task's description.
 */
public final class ModuleVariants {
    /** The name of the Test task that a variant describes. */
    public static final Attribute<String> TEST_TASK =
            Attribute.of("dev.testfleet.test-task", String.class);

    /** In place of a Test task's name, which has no colon: what the project is built with. */
    public static final String DEPENDENCIES = ":dependencies";

    private static final String NAME = "testfleet";
    private static final String ELEMENTS = "testfleetElements";

    private ModuleVariants() {}

    /** Makes a configuration offer, or ask for, descriptions of Test tasks. */
    public static Action<AttributeContainer> attributes(ObjectFactory objects) {
        return attributes -> {
            attributes.attribute(Usage.USAGE_ATTRIBUTE, objects.named(Usage.class, NAME));
            attributes.attribute(Category.CATEGORY_ATTRIBUTE, objects.named(Category.class, NAME));
        };
    }

    /**
     * Publishes the Test tasks of a project, those included that the rest of its build script
     * registers.
     */
    public static void publish(Project project) {
        Configuration elements = project.getConfigurations().create(ELEMENTS);
        elements.setCanBeResolved(false);
        elements.setVisible(false);
        elements.setDescription("Descriptions of the Test tasks of this project.");
        elements.attributes(attributes(project.getObjects()));
        project.getDependencies().getAttributesSchema().attribute(TEST_TASK);
        elements.getOutgoing()
                .getVariants()
                .create(
                        "dependencies",
                        variant -> {
                            variant.getAttributes().attribute(TEST_TASK, DEPENDENCIES);
                            variant.artifact(
                                    BuildDependencies.task(project)
                                            .flatMap(DescribeDependenciesTask::getDocument));
                        });
        Coverage.readAfterRuns(project);
        project.afterEvaluate(
                evaluated ->
                        evaluated
                                .getTasks()
                                .withType(Test.class)
                                .getNames()
                                .forEach(name -> addVariant(evaluated, elements, name)));
    }

    private static void addVariant(Project project, Configuration elements, String testTaskName) {
        TaskProvider<Test> testTask = project.getTasks().named(testTaskName, Test.class);
        String capitalized =
                testTaskName.substring(0, 1).toUpperCase(Locale.ROOT) + testTaskName.substring(1);
        Configuration launcher =
                LauncherDependency.configuration(
                        project, testTask, LauncherDependency.PREFIX + capitalized);
        TaskProvider<DescribeTestTask> describe =
                project.getTasks()
                        .register(
                                NAME + "Describe" + capitalized,
                                DescribeTestTask.class,
                                task -> configure(project, task, testTask, launcher));
        elements.getOutgoing()
                .getVariants()
                .create(
                        "test-" + testTaskName,
                        variant -> {
                            variant.getAttributes().attribute(TEST_TASK, testTaskName);
                            variant.artifact(describe.flatMap(DescribeTestTask::getDocument));
                        });
    }

    private static void configure(
            Project project,
            DescribeTestTask task,
            TaskProvider<Test> testTask,
            Configuration launcher) {
        task.setDescription("Writes down what '" + testTask.getName() + "' says, for Testfleet.");
        task.getTestTaskPath().set(project.absoluteProjectPath(testTask.getName()));
        task.getDocument()
                .set(
                        project.getLayout()
                                .getBuildDirectory()
                                .file("testfleet-module/" + testTask.getName() + ".json"));
        new TestTaskReader(project.getProviders(), testTask.get()).connect(task);
        task.getLauncherClasspath().from(launcher);
    }
}
