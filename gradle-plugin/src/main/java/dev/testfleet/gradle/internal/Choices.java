package dev.testfleet.gradle.internal;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Checks what users choose in the build script and on the command line. */
public final class Choices {
    private static final List<String> BACKENDS = List.of("local", "docker", "kubernetes");
    private static final List<String> SPLITS = List.of("auto", "class", "method");
    private static final List<String> LOCKS = List.of("run", "jvm");
    private static final List<String> REUSE = List.of("auto", "classpath", "off");
    private static final List<String> ORDER =
            List.of("failed", "new", "longest", "shortest", "name");
    private static final Pattern SHARD = Pattern.compile("(\\d{1,4})/(\\d{1,4})");
    private static final int MAX_WORKERS = 1_000;
    private static final int MAX_REPEAT = 10_000;
    private static final int MAX_RETRIES = 100;

    private Choices() {}

    /** One of the known backends. */
    static String backend(String value) {
        return oneOf("backend", value, BACKENDS, "--backend " + BACKENDS.get(0));
    }

    /** One of the known ways to split. */
    static String split(String value) {
        return oneOf("split", value, SPLITS, "testfleet { split = '" + SPLITS.get(0) + "' }");
    }

    /** How far locks reach. */
    static String locks(String value) {
        return oneOf("locks", value, LOCKS, "testfleet { locks = 'jvm' }");
    }

    /** Whether tests that passed before are run again. */
    static String reuse(String value) {
        return oneOf("reuse", value, REUSE, "testfleet { reuse = 'off' }");
    }

    /** What goes first. */
    static List<String> order(List<String> keys) {
        keys.forEach(key -> oneOf("order", key, ORDER, "testfleet { order = ['failed'] }"));
        return keys;
    }

    /** One of several parts of all tests: {@code 2/5}. */
    static Map<String, Object> shard(String value) {
        Matcher parts = SHARD.matcher(value.trim());
        if (!parts.matches()) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to understand the value '" + value + "' of the option shard",
                    "it is not a part's number and how many there are",
                    "for example: --shard 2/5");
        }
        String example = "--shard 2/5";
        Map<String, Object> shard = new LinkedHashMap<>();
        shard.put("number", number("shard", parts.group(1), 1, MAX_WORKERS, example));
        shard.put("of", number("shard", parts.group(2), 1, MAX_WORKERS, example));
        return shard;
    }

    /** A number of workers, as many as a plan can have. */
    static int workers(String value) {
        return number("workers", value, 1, MAX_WORKERS, "--workers 4");
    }

    /** The number of a worker's group. */
    public static int worker(String value) {
        return number("worker", value, 1, MAX_WORKERS, "./gradlew runWorker -Pworker=1");
    }

    /** How often each test is run. */
    static int repeat(String value) {
        return number("repeat", value, 1, MAX_REPEAT, "--repeat 50");
    }

    /** How often a bad test is tried again. */
    static int maxRetries(String value) {
        return number("max-retries", value, 0, MAX_RETRIES, "--max-retries 2");
    }

    /** One of several words. */
    static String oneOf(String option, String value, List<String> allowed, String example) {
        if (allowed.contains(value)) {
            return value;
        }
        throw Failures.exception(
                "invalid-request",
                "failed to understand the value '" + value + "' of the option " + option,
                "it is none of: " + String.join(", ", allowed),
                "for example: " + example);
    }

    private static int number(String option, String value, int min, int max, String example) {
        try {
            int number = Integer.parseInt(value.trim());
            if (number >= min && number <= max) {
                return number;
            }
        } catch (NumberFormatException notANumber) {
            // Said below, in the same words as for a number out of range.
        }
        throw Failures.exception(
                "invalid-request",
                "failed to understand the value '" + value + "' of the option " + option,
                "it is not a whole number from " + min + " to " + max,
                "for example: " + example);
    }
}
