package dev.testfleet.harness;

import dev.testfleet.harness.report.OutputCapture;
import dev.testfleet.harness.wire.StreamKind;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.PrintStream;

/**
 * What tests may change in the JVM and the harness needs as it was. Other leftovers, such as a
 * default locale, stay, as they do between the classes of a Gradle {@code Test} task.
 */
final class JvmState {
    private final InputStream realIn = System.in;
    private final PrintStream realOut = System.out;
    private final PrintStream realErr = System.err;
    private final InputStream noInput = new ByteArrayInputStream(new byte[0]);
    private final PrintStream out;
    private final PrintStream err;
    private final ClassLoader contextLoader = Thread.currentThread().getContextClassLoader();
    private final Object securityManager = securityManager();

    JvmState(OutputCapture capture) {
        out = capture.stream(StreamKind.STDOUT);
        err = capture.stream(StreamKind.STDERR);
    }

    /** Puts everything in place for the next unit. */
    void prepare() {
        Thread.interrupted();
        Thread.currentThread().setContextClassLoader(contextLoader);
        restoreSecurityManager();
        System.setIn(noInput);
        System.setOut(out);
        System.setErr(err);
    }

    /** Gives the JVM's own streams back, for those who speak while it shuts down. */
    void release() {
        prepare();
        System.setIn(realIn);
        System.setOut(realOut);
        System.setErr(realErr);
    }

    private void restoreSecurityManager() {
        if (securityManager() != securityManager) {
            try {
                System.setSecurityManager((SecurityManager) securityManager);
            } catch (SecurityException | UnsupportedOperationException e) {
                // A test's manager forbids its own removal: it will forbid other things too, and
                // those who are hit will say so.
                return;
            }
        }
    }

    private static Object securityManager() {
        return System.getSecurityManager();
    }
}
