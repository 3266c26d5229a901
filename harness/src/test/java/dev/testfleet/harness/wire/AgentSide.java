package dev.testfleet.harness.wire;

import java.util.List;
import java.util.Map;

/** The agent's side of the conversation: writes what the harness reads and the reverse. */
public final class AgentSide {
    private AgentSide() {}

    public static byte[] configure(
            int protocol, String framework, List<Map.Entry<String, String>> options) {
        return new WireWriter()
                .u8(1)
                .u32(protocol)
                .string(framework)
                .list(options, (out, each) -> out.string(each.getKey()).string(each.getValue()))
                .payload();
    }

    public static byte[] runUnit(
            String unit, String className, boolean wholeClass, List<TestName> tests) {
        return runUnit(unit, className, wholeClass, tests, null);
    }

    /** {@code slice} null for all invocations. */
    public static byte[] runUnit(
            String unit, String className, boolean wholeClass, List<TestName> tests, Slice slice) {
        return new WireWriter()
                .u8(2)
                .string(unit)
                .string(className)
                .u8(wholeClass ? 1 : 0)
                .list(tests, WireWriter::test)
                .option(
                        slice,
                        (out, range) -> out.u32(range.from).option(range.to, WireWriter::u32))
                .payload();
    }

    /** Invocations by their numbers from 1; {@code to} null for an open end. */
    public record Slice(int from, Integer to) {}

    public static byte[] discover(List<String> classes) {
        return new WireWriter().u8(4).list(classes, WireWriter::string).payload();
    }

    public static byte[] shutdown() {
        return new WireWriter().u8(3).payload();
    }

    /** The payload with its length before it. */
    public static byte[] frame(byte[] payload) {
        return new WireWriter().blob(payload, 0, payload.length).payload();
    }

    /** What the harness said. */
    public static Said decode(byte[] payload) throws WireException {
        WireReader in = new WireReader(payload);
        int kind = in.u8();
        Said said =
                switch (kind) {
                    case 1 -> new Ready(in.u32(), in.string());
                    case 2 -> new TestStarted(in.string(), in.test());
                    case 3 ->
                            new InvocationFinished(
                                    in.string(), in.test(), in.string(), in.string(), finished(in));
                    case 4 -> new TestFinished(in.string(), in.test(), finished(in));
                    case 5 ->
                            new Output(
                                    in.string(),
                                    in.bool() ? in.test() : null,
                                    StreamKind.values()[in.u8() - 1],
                                    in.blob());
                    case 6 -> new ClassFailed(in.string(), in.string(), thrown(in));
                    case 7 -> new UnitFinished(in.string());
                    case 8 -> new Fault(in.string(), in.string());
                    case 9 ->
                            new Discovered(
                                    in.string(),
                                    in.list(WireReader::string),
                                    in.list(WireReader::test));
                    case 10 -> new DiscoveryFailed(in.string(), thrown(in));
                    case 11 -> new DiscoveryFinished();
                    case 12 -> new TestPaused(in.string(), in.test());
                    case 13 -> new TestResumed(in.string(), in.test());
                    case 14 -> new ExitCalled(in.string());
                    default -> throw new WireException("unknown kind " + kind);
                };
        in.end();
        return said;
    }

    private static Finished finished(WireReader in) throws WireException {
        return new Finished(
                Outcome.values()[in.u8() - 1],
                in.u64(),
                in.u64(),
                in.bool() ? in.string() : null,
                in.list(AgentSide::thrown));
    }

    private static Thrown thrown(WireReader in) throws WireException {
        return new Thrown(in.string(), in.string(), in.string());
    }

    /** A message of the harness. */
    public sealed interface Said {}

    public record Ready(int protocol, String javaVersion) implements Said {}

    public record TestStarted(String unit, TestName test) implements Said {}

    public record InvocationFinished(
            String unit, TestName test, String id, String name, Finished finished)
            implements Said {}

    public record TestFinished(String unit, TestName test, Finished finished) implements Said {}

    public record Output(String unit, TestName test, StreamKind stream, byte[] bytes)
            implements Said {}

    public record ClassFailed(String unit, String className, Thrown thrown) implements Said {}

    public record UnitFinished(String unit) implements Said {}

    public record Fault(String message, String hint) implements Said {}

    public record Discovered(String className, List<String> engines, List<TestName> tests)
            implements Said {}

    public record DiscoveryFailed(String className, Thrown thrown) implements Said {}

    public record DiscoveryFinished() implements Said {}

    public record TestPaused(String unit, TestName test) implements Said {}

    public record TestResumed(String unit, TestName test) implements Said {}

    public record ExitCalled(String stacks) implements Said {}
}
