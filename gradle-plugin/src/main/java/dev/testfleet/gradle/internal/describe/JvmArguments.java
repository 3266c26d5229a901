package dev.testfleet.gradle.internal.describe;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * JVM arguments as a Test task's argument providers give them, with those that have a field of
 * their own taken out. Gradle puts them behind all others on the command line, so they win over
 * what the task itself says.
 */
final class JvmArguments {
    private static final Set<String> ENABLE_ASSERTIONS = Set.of("-ea", "-enableassertions");
    private static final Set<String> DISABLE_ASSERTIONS = Set.of("-da", "-disableassertions");

    private final Map<String, Object> task;
    private final Map<String, String> systemProperties;
    private final List<String> rest = new ArrayList<>();

    private JvmArguments(Map<String, Object> task, Map<String, String> systemProperties) {
        this.task = task;
        this.systemProperties = systemProperties;
    }

    /**
     * Puts what {@code arguments} say of heap, assertions and encoding into {@code task}, their
     * system properties into {@code systemProperties}, and returns the others in order.
     */
    static List<String> distribute(
            List<String> arguments,
            Map<String, Object> task,
            Map<String, String> systemProperties) {
        JvmArguments split = new JvmArguments(task, systemProperties);
        arguments.forEach(split::add);
        return split.rest;
    }

    private void add(String argument) {
        if (argument.startsWith("-Dfile.encoding=")) {
            task.put("defaultCharset", argument.substring("-Dfile.encoding=".length()));
        } else if (argument.startsWith("-D")) {
            int equals = argument.indexOf('=');
            String name = argument.substring(2, equals < 0 ? argument.length() : equals);
            systemProperties.put(name, equals < 0 ? "" : argument.substring(equals + 1));
        } else if (argument.startsWith("-Xmx")) {
            task.put("maxHeap", argument.substring("-Xmx".length()));
        } else if (argument.startsWith("-Xms")) {
            task.put("minHeap", argument.substring("-Xms".length()));
        } else if (ENABLE_ASSERTIONS.contains(argument)) {
            task.put("enableAssertions", true);
        } else if (DISABLE_ASSERTIONS.contains(argument)) {
            task.put("enableAssertions", false);
        } else {
            rest.add(argument);
        }
    }
}
