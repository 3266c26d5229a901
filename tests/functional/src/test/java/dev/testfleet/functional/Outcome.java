package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.List;
import java.util.regex.Pattern;

/** What became of one call of Gradle. */
final class Outcome {
    private final String output;
    private final int exitCode;
    private final List<String> call;

    Outcome(String output, int exitCode, List<String> call) {
        this.output = output;
        this.exitCode = exitCode;
        this.call = call;
    }

    /** Everything that the call printed. */
    String output() {
        return output;
    }

    Outcome requireExit(boolean good) {
        return require((exitCode == 0) == good, "exit code " + exitCode);
    }

    /** Fails unless the output contains each of {@code texts}. */
    Outcome says(String... texts) {
        for (String text : texts) {
            require(output.contains(text), "not printed: " + text);
        }
        return this;
    }

    /** Fails when the output contains {@code text}. */
    Outcome saysNot(String text) {
        return require(!output.contains(text), "printed: " + text);
    }

    /** Fails unless a part of the output matches. */
    Outcome matches(String regex) {
        return require(Pattern.compile(regex).matcher(output).find(), "no match of: " + regex);
    }

    private Outcome require(boolean condition, String otherwise) {
        return condition ? this : fail(otherwise + "\nin the output of " + call + ":\n" + output);
    }
}
