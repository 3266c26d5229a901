package dev.testfleet.gradle.internal;

/**
 * The native engine. Handles are numbers that the engine gives out; a closed or unknown one is an
 * {@link EngineException}, never a crash. Every method throws {@link EngineException} when it
 * fails.
 */
final class Engine {
    private Engine() {}

    /**
     * Binds this class to a library file. The JVM ties a library to the class loader of the caller,
     * and refuses a file that another class loader has loaded.
     */
    static void load(String absolutePath) {
        System.load(absolutePath);
    }

    /** Version of the engine. */
    static native String version();

    /** Starts a command, described by an {@code OpenRequest} in JSON, and returns its handle. */
    static native long open(byte[] request);

    /**
     * The next event in JSON, or null when none came in time. The last one has the type {@code
     * end}.
     */
    static native byte[] nextEvent(long handle, int timeoutMillis);

    /** Asks the command to come to its end; its remaining events still follow. */
    static native void cancel(long handle);

    /** Gives the handle back; a command that still works is cancelled, and its end awaited. */
    static native void close(long handle);

    /** Ends the engine's threads. The next {@link #open} starts them again. */
    static native void shutdown();
}
