import org.junit.Ignore;
import org.junit.Test;
import org.junit.internal.builders.AllDefaultPossibilitiesBuilder;
import org.junit.internal.builders.IgnoredBuilder;
import org.junit.runner.Description;
import org.junit.runner.Request;
import org.junit.runner.RunWith;
import org.junit.runner.Runner;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;

/**
 * JUnit 4, asked about the classes that Gradle's useJUnit() runs: those in which it sees a marker
 * of JUnit 3 or 4.
 */
final class JUnit4Source implements Oracle.Source {
    private final List<Listed> listed = new ArrayList<>();

    @Override
    public List<Listed> list(List<Class<?>> classes) {
        for (Class<?> type : classes) {
            if (isSelected(type)) {
                Description description = runner(type).getDescription();
                if (description.getChildren().isEmpty()) {
                    visit(description, new ArrayList<>());
                }
                // A runner may call its class what it likes: suite() does.
                for (Description child : description.getChildren()) {
                    visit(child, new ArrayList<>(List.of(type.getName())));
                }
            }
        }
        return listed;
    }

    private static boolean isSelected(Class<?> type) {
        boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
        if (inner || type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            return false;
        }
        Class<?> outermost = type;
        while (outermost.getEnclosingClass() != null) {
            outermost = outermost.getEnclosingClass();
        }
        if (outermost != type
                && Listed.isRunBy(outermost, "org.junit.experimental.runners.Enclosed")) {
            return false;
        }
        if (junit.framework.TestCase.class.isAssignableFrom(type)) {
            return true;
        }
        for (Class<?> at = type; at != null; at = at.getSuperclass()) {
            if (at.isAnnotationPresent(RunWith.class)) {
                return true;
            }
            for (Method method : at.getDeclaredMethods()) {
                if (method.isAnnotationPresent(Test.class)) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Gradle reports the tests of a class with @Ignore as skipped, each of them. */
    private static Runner runner(Class<?> type) {
        if (type.isAnnotationPresent(Ignore.class)) {
            return new WithoutIgnore().safeRunnerForClass(type);
        }
        return Request.aClass(type).getRunner();
    }

    private static final class WithoutIgnore extends AllDefaultPossibilitiesBuilder {
        @Override
        protected IgnoredBuilder ignoredBuilder() {
            return new IgnoredBuilder() {
                @Override
                public Runner runnerForClass(Class<?> type) {
                    return null;
                }
            };
        }
    }

    private void visit(Description node, List<String> containers) {
        if (node.getChildren().isEmpty()) {
            // A class without tests is described by its name alone.
            if (node.getMethodName() != null) {
                listed.add(
                        Listed.legacy(
                                "junit4", containers, node.getClassName(), node.getMethodName()));
            }
            return;
        }
        List<String> around = new ArrayList<>(containers);
        around.add(node.getDisplayName());
        for (Description child : node.getChildren()) {
            visit(child, around);
        }
    }
}
