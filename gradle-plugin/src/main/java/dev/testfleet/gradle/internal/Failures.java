package dev.testfleet.gradle.internal;

import java.util.List;
import java.util.Map;

/** Failures as the engine words them: what failed, why, and what to do about it. */
public final class Failures {
    private Failures() {}

    /** A failure that the plugin itself found, worded like those of the engine. */
    public static EngineException exception(
            String code, String message, String cause, String hint) {
        return exception(
                Map.of("code", code, "message", message, "causes", List.of(cause), "hint", hint));
    }

    /** The exception for a {@code Failure} document of the engine. */
    static EngineException exception(Map<?, ?> failure) {
        StringBuilder message = new StringBuilder().append(failure.get("message"));
        if (failure.get("causes") instanceof List) {
            for (Object cause : (List<?>) failure.get("causes")) {
                message.append("\n  because: ").append(cause);
            }
        }
        if (failure.get("hint") != null) {
            message.append("\n  hint: ").append(failure.get("hint"));
        }
        return new EngineException(String.valueOf(failure.get("code")), message.toString());
    }
}
