package dev.testfleet.harness.wire;

import java.util.List;

/** What the agent says to the harness; the Rust side is {@code native/protocol/src/harness.rs}. */
public abstract class ToHarness {
    private ToHarness() {}

    /** Reads a payload. */
    public static ToHarness decode(byte[] payload) throws WireException {
        WireReader in = new WireReader(payload);
        int kind = in.u8();
        ToHarness message;
        switch (kind) {
            case 1:
                message = new Configure(in.u32(), in.string(), in.list(Option::new));
                break;
            case 2:
                message =
                        new RunUnit(
                                in.string(),
                                in.string(),
                                in.bool(),
                                in.list(WireReader::test),
                                in.bool() ? new Invocations(in) : null);
                break;
            case 3:
                message = new Shutdown();
                break;
            case 4:
                message = new Discover(in.list(WireReader::string));
                break;
            default:
                throw new WireException("unknown kind " + kind);
        }
        in.end();
        return message;
    }

    /** Once, first. */
    public static final class Configure extends ToHarness {
        public final int protocol;

        /** {@code junit-platform}, {@code junit4} or {@code testng}. */
        public final String framework;

        public final List<Option> options;

        Configure(int protocol, String framework, List<Option> options) {
            this.protocol = protocol;
            this.framework = framework;
            this.options = options;
        }
    }

    /** One value of a framework's option; an option with several values occurs several times. */
    public static final class Option {
        public final String name;
        public final String value;

        Option(WireReader in) throws WireException {
            name = in.string();
            value = in.string();
        }
    }

    /** Runs one unit. */
    public static final class RunUnit extends ToHarness {
        public final String unit;

        /** The top-level class to run. */
        public final String className;

        /** Whether to run without a filter; {@link #tests} is then what is expected. */
        public final boolean wholeClass;

        /** The planned tests. */
        public final List<TestName> tests;

        /** Of the only planned test, just these invocations; null for all. */
        public final Invocations invocations;

        public RunUnit(
                String unit,
                String className,
                boolean wholeClass,
                List<TestName> tests,
                Invocations invocations) {
            this.unit = unit;
            this.className = className;
            this.wholeClass = wholeClass;
            this.tests = tests;
            this.invocations = invocations;
        }
    }

    /** A range of the invocations directly below a test, by their numbers from 1. */
    public static final class Invocations {
        public final int from;

        /** The last; {@link Integer#MAX_VALUE} goes on to the end. */
        public final int to;

        Invocations(WireReader in) throws WireException {
            from = in.u32();
            to = in.bool() ? in.u32() : Integer.MAX_VALUE;
        }
    }

    /** Say which tests the framework finds in these classes, in this order; run nothing. */
    public static final class Discover extends ToHarness {
        /** Binary names. */
        public final List<String> classes;

        Discover(List<String> classes) {
            this.classes = classes;
        }
    }

    /** End after what was asked for before. */
    public static final class Shutdown extends ToHarness {}
}
