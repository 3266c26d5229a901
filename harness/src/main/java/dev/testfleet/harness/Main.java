package dev.testfleet.harness;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/**
 * The harness JVM's entry: {@code Main IN OUT}, two named pipes whose other ends the agent holds.
 *
 * <p>Exit codes: 0 after the agent's shutdown, 2 after a fault that was sent to the agent, 3 when
 * the pipes can't be opened, 4 when the agent is gone.
 */
public final class Main {
    private static final int EXIT_NO_PIPES = 3;
    private static final int EXIT_AGENT_GONE = 4;

    private Main() {}

    /**
     * @param args the pipe to read from and the pipe to write to
     */
    public static void main(String[] args) {
        if (args.length != 2) {
            System.err.println(
                    "failed to start the test harness: expected the paths of two named pipes, got "
                            + args.length
                            + " arguments; it is started by testfleet-agent");
            System.exit(EXIT_NO_PIPES);
        }
        Harness harness;
        try {
            // Plain streams: an interrupt closes a channel, and tests do interrupt.
            OutputStream out = new FileOutputStream(args[1]);
            InputStream in = new FileInputStream(args[0]);
            harness = new Harness(in, out, () -> Runtime.getRuntime().halt(EXIT_AGENT_GONE));
        } catch (IOException e) {
            System.err.println(
                    "failed to start the test harness: can't open its pipes: " + e.getMessage());
            System.exit(EXIT_NO_PIPES);
            return;
        }
        Thread.currentThread().setName("Test worker");
        Runtime.getRuntime()
                .addShutdownHook(new Thread(harness::sayLastWords, "testfleet-last-output"));
        // Ends the JVM although tests left threads behind, with its shutdown hooks: coverage
        // agents write their data there.
        System.exit(harness.run());
    }
}
