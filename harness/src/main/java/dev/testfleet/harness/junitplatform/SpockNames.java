package dev.testfleet.harness.junitplatform;

import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.MethodSource;

import java.lang.annotation.Annotation;
import java.lang.reflect.Method;

/** Names of Spock's features: texts, which its compiler keeps in an annotation. */
final class SpockNames {
    private static final String METADATA = "org.spockframework.runtime.model.FeatureMetadata";

    private SpockNames() {}

    /** The name that class files have, which extensions can't change; else what is displayed. */
    static String feature(TestSource source, String displayName) {
        if (!(source instanceof MethodSource)) {
            return displayName;
        }
        MethodSource method = (MethodSource) source;
        try {
            Class<?> type =
                    Class.forName(
                            method.getClassName(),
                            false,
                            Thread.currentThread().getContextClassLoader());
            for (Class<?> at = type; at != null; at = at.getSuperclass()) {
                for (Method candidate : at.getDeclaredMethods()) {
                    if (candidate.getName().equals(method.getMethodName())) {
                        return name(candidate, displayName);
                    }
                }
            }
        } catch (ReflectiveOperationException | LinkageError e) {
            // Its engine has just read it: what it displays is the name, as a rule.
            return displayName;
        }
        return displayName;
    }

    private static String name(Method method, String otherwise)
            throws ReflectiveOperationException {
        for (Annotation annotation : method.getAnnotations()) {
            if (annotation.annotationType().getName().equals(METADATA)) {
                return (String) annotation.annotationType().getMethod("name").invoke(annotation);
            }
        }
        return otherwise;
    }
}
