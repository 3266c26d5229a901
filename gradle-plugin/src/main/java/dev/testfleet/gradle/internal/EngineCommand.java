package dev.testfleet.gradle.internal;

import org.gradle.api.logging.LogLevel;
import org.gradle.api.logging.Logger;
import org.gradle.api.tasks.VerificationException;

import java.util.Map;

/**
 * One command of the engine, from its request to its last event, on the thread of the caller.
 *
 * <p>Gradle interrupts a task's thread when the build is cancelled or the task's timeout has
 * passed. Native code does not notice that, so events are awaited in short steps, and after an
 * interrupt the engine is asked to end; it still tells what became of the run.
 */
final class EngineCommand {
    private static final int STEP_MILLIS = 200;
    private static final Map<String, LogLevel> LEVELS =
            Map.of(
                    "info", LogLevel.INFO,
                    "lifecycle", LogLevel.LIFECYCLE,
                    "warn", LogLevel.WARN,
                    "error", LogLevel.ERROR,
                    "result", LogLevel.QUIET);

    private final EngineCalls engine;
    private final Logger logger;

    EngineCommand(EngineCalls engine, Logger logger) {
        this.engine = engine;
        this.logger = logger;
    }

    /**
     * Does what {@code openRequest} says and returns when it is done.
     *
     * @throws VerificationException when tests failed
     * @throws EngineException when anything else failed
     */
    void run(byte[] openRequest) {
        long handle = engine.open(openRequest);
        boolean interrupted = false;
        try {
            Map<String, Object> event;
            do {
                byte[] document = engine.nextEvent(handle, STEP_MILLIS);
                if (Thread.interrupted() && !interrupted) {
                    interrupted = true;
                    engine.cancel(handle);
                }
                event = document == null ? Map.of() : Json.object(document);
                show(event);
            } while (!"end".equals(event.get("type")));
            throwFailure(event.get("failure"));
        } finally {
            engine.close(handle);
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void show(Map<String, Object> event) {
        if ("console".equals(event.get("type"))) {
            LogLevel level = LEVELS.getOrDefault(event.get("level"), LogLevel.LIFECYCLE);
            logger.log(level, String.valueOf(event.get("text")));
        }
    }

    private static void throwFailure(Object failure) {
        if (failure instanceof Map) {
            EngineException exception = Failures.exception((Map<?, ?>) failure);
            if (exception.getCode().equals("tests-failed")) {
                throw new VerificationException(exception.getMessage());
            }
            throw exception;
        }
    }
}
