package dev.testfleet.harness;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.concurrent.TimeUnit;

/**
 * Has JaCoCo, where it measures this JVM, write what it has seen so far: by itself it does so only
 * when the JVM ends in order, and a JVM that is killed would take the coverage of all its units
 * along. By reflection: JaCoCo's agent is none of the harness's.
 */
final class Coverage {
    /** Where the agent expects what JaCoCo writes; not there when JaCoCo writes elsewhere. */
    private static final String FILE = "TESTFLEET_COVERAGE";

    /** The least time between two dumps: each of them is sent. */
    private static final long PAUSE = TimeUnit.SECONDS.toNanos(2);

    /** A dump may take this part of the time at most: with many classes it is slow. */
    private static final int SHARE = 50;

    private final Object jacoco;
    private Method dump;
    private long last = System.nanoTime();
    private long pause = PAUSE;

    private Coverage(Object jacoco, Method dump) {
        this.jacoco = jacoco;
        this.dump = dump;
    }

    /** Finds JaCoCo; without it, nothing is ever written. */
    static Coverage find() {
        if (System.getenv(FILE) == null) {
            return new Coverage(null, null);
        }
        try {
            ClassLoader loader = ClassLoader.getSystemClassLoader();
            Object jacoco =
                    loader.loadClass("org.jacoco.agent.rt.RT").getMethod("getAgent").invoke(null);
            Class<?> agent = loader.loadClass("org.jacoco.agent.rt.IAgent");
            return new Coverage(jacoco, agent.getMethod("dump", boolean.class));
        } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
            // An old JaCoCo, or none: what it measures comes at the JVM's end, or not at all.
            return new Coverage(null, null);
        }
    }

    /**
     * A unit has ended: writes what was measured, unless that was done a moment ago. Nothing is
     * reset: threads that go on meanwhile lose nothing.
     */
    void unitEnded() {
        long begin = System.nanoTime();
        if (dump == null || begin - last < pause) {
            return;
        }
        try {
            dump.invoke(jacoco, false);
        } catch (IllegalAccessException | InvocationTargetException | RuntimeException e) {
            // It will try again itself when the JVM ends.
            dump = null;
        }
        last = System.nanoTime();
        pause = Math.max(PAUSE, SHARE * (last - begin));
    }
}
