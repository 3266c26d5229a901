package dev.testfleet.gradle.internal;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes as builds write them. */
final class Sizes {
    private static final Pattern SIZE = Pattern.compile("(\\d{1,12})\\s*([kmgt]?)(i?b)?");
    private static final String UNITS = "kmgt";

    private Sizes() {}

    /**
     * {@code 512m}, {@code 2G}, {@code 2 GiB}: as Docker and Gradle have it, by powers of 1,024.
     *
     * @throws EngineException for what is no size; {@code example} shows how the option is set.
     */
    static long bytes(String option, String size, String example) {
        Matcher parts = SIZE.matcher(size.trim().toLowerCase(Locale.ROOT));
        if (parts.matches()) {
            int power = parts.group(2).isEmpty() ? 0 : UNITS.indexOf(parts.group(2)) + 1;
            long number = Long.parseLong(parts.group(1));
            if (number <= Long.MAX_VALUE >> (10 * power)) {
                return number << (10 * power);
            }
        }
        throw Failures.exception(
                "invalid-request",
                "failed to understand the value '" + size + "' of the option " + option,
                "it is no number with K, M, G or T behind it",
                "for example: " + example);
    }
}
