package dev.testfleet.gradle.internal;

import org.gradle.api.GradleException;

/** What the engine could not do. The message says what failed, why, and what to do about it. */
public final class EngineException extends GradleException {
    private static final long serialVersionUID = 1L;

    private final String code;

    /**
     * A failure; the native side calls this constructor.
     *
     * @param code the failure's stable code, such as {@code invalid-request}
     * @param message complete, with causes and hint
     */
    public EngineException(String code, String message) {
        super(message);
        this.code = code;
    }

    /** Stable across releases, such as {@code no-tests}. */
    public String getCode() {
        return code;
    }
}
