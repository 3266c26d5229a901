package dev.testfleet.gradle.internal.describe;

import org.gradle.api.tasks.testing.Test;

import java.io.File;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * {@code inputs.property} of a Test task: what the build declared beside the properties that every
 * Test task has. A value counts as text when equal values have equal texts in every build.
 */
final class InputProperties {
    private static final Set<String> OF_EVERY_TEST =
            Arrays.stream(Test.class.getMethods())
                    .map(InputProperties::property)
                    .collect(Collectors.toSet());

    private final Map<String, String> texts = new TreeMap<>();
    private final List<String> withoutText = new ArrayList<>();

    private InputProperties(Map<String, Object> declared) {
        declared.forEach(
                (name, value) -> {
                    if (isText(value)) {
                        texts.put(name, text(value));
                    } else {
                        withoutText.add(name + " (" + value.getClass().getName() + ")");
                    }
                });
    }

    static InputProperties of(Test test) {
        try {
            Map<String, Object> declared = new TreeMap<>(test.getInputs().getProperties());
            declared.keySet().removeIf(name -> OF_EVERY_TEST.contains(name.split("[.$]", 2)[0]));
            return new InputProperties(declared);
        } catch (RuntimeException e) {
            // A value that another task makes is not there before the task itself would run.
            InputProperties none = new InputProperties(Map.of());
            none.withoutText.add("not known before the task runs: " + e.getMessage());
            return none;
        }
    }

    /** By name. */
    Map<String, String> texts() {
        return texts;
    }

    /** Those whose values need not have the same text in the next build, with their classes. */
    List<String> withoutText() {
        return withoutText;
    }

    private static String property(Method getter) {
        String name = getter.getName().replaceFirst("^(get|is)(?=[A-Z])", "");
        return name.substring(0, 1).toLowerCase(Locale.ROOT) + name.substring(1);
    }

    private static boolean isText(Object value) {
        if (value instanceof Collection) {
            return ((Collection<?>) value).stream().allMatch(InputProperties::isText);
        }
        if (value instanceof Map) {
            Map<?, ?> map = (Map<?, ?>) value;
            return isText(map.keySet()) && isText(map.values());
        }
        return value == null
                || value instanceof CharSequence
                || value instanceof Number
                || value instanceof Boolean
                || value instanceof Character
                || value instanceof Enum
                || value instanceof File;
    }

    // Sets and maps have no order that counts.
    private static String text(Object value) {
        if (value instanceof Map) {
            Map<String, String> sorted = new TreeMap<>();
            ((Map<?, ?>) value).forEach((name, of) -> sorted.put(text(name), text(of)));
            return sorted.toString();
        }
        if (value instanceof Collection) {
            List<String> texts =
                    ((Collection<?>) value)
                            .stream().map(InputProperties::text).collect(Collectors.toList());
            return value instanceof Set ? new TreeSet<>(texts).toString() : texts.toString();
        }
        return String.valueOf(value);
    }
}
