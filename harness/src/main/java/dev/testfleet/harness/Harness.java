package dev.testfleet.harness;

import dev.testfleet.harness.report.Exceptions;
import dev.testfleet.harness.report.OutputCapture;
import dev.testfleet.harness.report.Result;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.FrameInput;
import dev.testfleet.harness.wire.FromHarness;
import dev.testfleet.harness.wire.Outbox;
import dev.testfleet.harness.wire.ToHarness;
import dev.testfleet.harness.wire.ToHarness.Configure;
import dev.testfleet.harness.wire.ToHarness.Discover;
import dev.testfleet.harness.wire.ToHarness.RunUnit;
import dev.testfleet.harness.wire.ToHarness.Shutdown;

import java.io.InputStream;
import java.io.OutputStream;
import java.util.concurrent.BlockingQueue;

/**
 * One conversation with the agent: answers what it configures, runs the units that it sends one
 * after another on the calling thread, ends when it says so.
 */
public final class Harness {
    /** Version of the agent-harness protocol, {@code VERSION} of the Rust protocol crate. */
    static final int PROTOCOL = 1;

    /** All went well. */
    public static final int EXIT_OK = 0;

    /** The harness sent a fault. */
    public static final int EXIT_FAULT = 2;

    private final Outbox outbox;
    private final OutputCapture capture;
    private final JvmState jvm;
    private final Coverage coverage = Coverage.find();
    private final BlockingQueue<Inbox.Item> inbox;

    /** Made while there is memory for it. */
    private final byte[] outOfMemory = FromHarness.fault("java.lang.OutOfMemoryError", "");

    /** Whether the harness ends the JVM itself. */
    private volatile boolean ending;

    /**
     * @param in may block, must not be interruptible
     * @param out must not buffer, must not be interruptible
     * @param agentGone called by any thread when the agent closed its ends
     */
    public Harness(InputStream in, OutputStream out, Runnable agentGone) {
        outbox = new Outbox(out, agentGone);
        capture = new OutputCapture(outbox);
        jvm = new JvmState(capture);
        inbox =
                Inbox.read(
                        new FrameInput(in),
                        agentGone,
                        () -> {
                            outbox.send(outOfMemory);
                            agentGone.run();
                        });
    }

    /** Runs until the agent says that it is enough; returns the JVM's exit code. */
    public int run() {
        try {
            Framework framework = configure();
            jvm.prepare();
            serve(framework);
            return EXIT_OK;
        } catch (HarnessFault fault) {
            capture.flush();
            outbox.send(FromHarness.fault(fault.getMessage(), fault.hint));
            return EXIT_FAULT;
        } catch (OutOfMemoryError e) {
            // What a framework does after that is anybody's guess: the rest runs in a new JVM.
            outbox.send(describe(e));
            return EXIT_FAULT;
        } finally {
            ending = true;
            capture.close();
            jvm.release();
        }
    }

    private byte[] describe(OutOfMemoryError error) {
        try {
            capture.flush();
            return FromHarness.fault(Exceptions.describe(error).stack, "");
        } catch (OutOfMemoryError again) {
            return outOfMemory;
        }
    }

    /**
     * What is to be said while the JVM shuts down: what tests wrote so far, and who called for the
     * end when it was not the harness.
     */
    public void sayLastWords() {
        capture.flush();
        String stacks = ending ? "" : ExitStacks.find();
        if (!stacks.isEmpty()) {
            outbox.send(FromHarness.exitCalled(stacks));
        }
    }

    private Framework configure() throws HarnessFault {
        ToHarness first = next();
        if (!(first instanceof Configure)) {
            throw mismatch("failed to start: the agent's first message is no configuration");
        }
        Configure configure = (Configure) first;
        if (configure.protocol != PROTOCOL) {
            throw mismatch(
                    "failed to start: the agent speaks protocol "
                            + configure.protocol
                            + ", this harness "
                            + PROTOCOL);
        }
        jvm.prepare();
        Framework framework =
                FrameworkLoader.load(configure.framework, new FrameworkOptions(configure.options));
        capture.flush();
        outbox.send(FromHarness.ready(PROTOCOL, System.getProperty("java.version", "unknown")));
        return framework;
    }

    private void serve(Framework framework) throws HarnessFault {
        for (ToHarness message = next(); !(message instanceof Shutdown); message = next()) {
            jvm.prepare();
            if (message instanceof RunUnit) {
                run(framework, (RunUnit) message);
            } else if (message instanceof Discover) {
                discover(framework, (Discover) message);
            } else {
                throw mismatch("failed to go on: the agent configured a running harness");
            }
        }
        jvm.prepare();
        close(framework);
    }

    private void run(Framework framework, RunUnit unit) {
        UnitReport report = new UnitReport(unit, outbox, capture);
        try {
            framework.run(report);
        } catch (OutOfMemoryError e) {
            throw e;
        } catch (Throwable e) {
            // Whatever the framework or a class's initialiser throws, an Error too, is the unit's.
            report.classFailed(unit.className, e);
            report.endAllUnstarted(Result.errored("the test framework gave up", e));
        }
        jvm.prepare();
        // Before the unit's end is told: the agent takes the file then.
        coverage.unitEnded();
        report.close();
    }

    /**
     * Each class is answered before the next one is looked at, so that when one ends the JVM, the
     * agent sees which: the first without an answer.
     */
    private void discover(Framework framework, Discover question) {
        for (String className : question.classes) {
            byte[] answer = discover(framework, className);
            jvm.prepare();
            capture.flush();
            outbox.send(answer);
        }
        outbox.send(FromHarness.discoveryFinished());
    }

    private static byte[] discover(Framework framework, String className) {
        try {
            Found found = framework.discover(className);
            byte[] answer = FromHarness.discovered(className, found.engines(), found.tests());
            if (answer.length <= FrameInput.MAX_FRAME) {
                return answer;
            }
            throw new IllegalStateException(
                    "failed to tell the tests of "
                            + className
                            + ": the names of its "
                            + found.tests().size()
                            + " tests take "
                            + answer.length
                            + " bytes, over the limit of "
                            + FrameInput.MAX_FRAME);
        } catch (Throwable e) {
            // Whatever the framework or a class's initialiser throws, an Error too, is the class's.
            return FromHarness.discoveryFailed(className, Exceptions.describe(e));
        }
    }

    private static void close(Framework framework) {
        try {
            framework.close();
        } catch (Throwable e) {
            // No unit is running that it could be reported for: it goes to the worker's log.
            System.err.println(
                    "failed to close the test framework\n" + Exceptions.describe(e).stack);
        }
    }

    private ToHarness next() throws HarnessFault {
        while (true) {
            try {
                return inbox.take().message();
            } catch (InterruptedException e) {
                // A test's leftover; the flag is clear now.
                continue;
            }
        }
    }

    private static HarnessFault mismatch(String message) {
        return new HarnessFault(
                message, "agent and harness must come from the same Testfleet version", null);
    }
}
