package dev.testfleet.gradle.internal;

/** What {@link EngineCommand} needs of the engine. */
interface EngineCalls {
    /** See {@link Engine#open}. */
    long open(byte[] request);

    /** See {@link Engine#nextEvent}. */
    byte[] nextEvent(long handle, int timeoutMillis);

    /** See {@link Engine#cancel}. */
    void cancel(long handle);

    /** See {@link Engine#close}. */
    void close(long handle);

    /** The native engine, which must be loaded. */
    EngineCalls NATIVE =
            new EngineCalls() {
                @Override
                public long open(byte[] request) {
                    return Engine.open(request);
                }

                @Override
                public byte[] nextEvent(long handle, int timeoutMillis) {
                    return Engine.nextEvent(handle, timeoutMillis);
                }

                @Override
                public void cancel(long handle) {
                    Engine.cancel(handle);
                }

                @Override
                public void close(long handle) {
                    Engine.close(handle);
                }
            };
}
