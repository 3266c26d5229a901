package dev.testfleet.harness.wire;

import java.util.List;

/**
 * Payloads of what the harness says to the agent; the Rust side is {@code
 * native/protocol/src/harness.rs}.
 */
public final class FromHarness {
    private FromHarness() {}

    public static byte[] ready(int protocol, String javaVersion) {
        return new WireWriter().u8(1).u32(protocol).string(javaVersion).payload();
    }

    public static byte[] testStarted(String unit, TestName test) {
        return new WireWriter().u8(2).string(unit).test(test).payload();
    }

    public static byte[] invocationFinished(
            String unit, TestName test, String id, String name, Finished finished) {
        return new WireWriter()
                .u8(3)
                .string(unit)
                .test(test)
                .string(id)
                .string(name)
                .finished(finished)
                .payload();
    }

    public static byte[] testFinished(String unit, TestName test, Finished finished) {
        return new WireWriter().u8(4).string(unit).test(test).finished(finished).payload();
    }

    /** {@code test} may be null. */
    public static byte[] output(
            String unit, TestName test, StreamKind stream, byte[] bytes, int length) {
        return new WireWriter()
                .u8(5)
                .string(unit)
                .option(test, WireWriter::test)
                .u8(stream.code)
                .blob(bytes, 0, length)
                .payload();
    }

    public static byte[] classFailed(String unit, String className, Thrown thrown) {
        return new WireWriter().u8(6).string(unit).string(className).thrown(thrown).payload();
    }

    public static byte[] unitFinished(String unit) {
        return new WireWriter().u8(7).string(unit).payload();
    }

    public static byte[] fault(String message, String hint) {
        return new WireWriter().u8(8).string(message).string(hint).payload();
    }

    /**
     * What the framework finds in a class.
     *
     * @param engines ids of the engines that find tests there, sorted
     */
    public static byte[] discovered(String className, List<String> engines, List<TestName> tests) {
        return new WireWriter()
                .u8(9)
                .string(className)
                .list(engines, WireWriter::string)
                .list(tests, WireWriter::test)
                .payload();
    }

    public static byte[] discoveryFailed(String className, Thrown thrown) {
        return new WireWriter().u8(10).string(className).thrown(thrown).payload();
    }

    public static byte[] discoveryFinished() {
        return new WireWriter().u8(11).payload();
    }

    public static byte[] testPaused(String unit, TestName test) {
        return new WireWriter().u8(12).string(unit).test(test).payload();
    }

    public static byte[] testResumed(String unit, TestName test) {
        return new WireWriter().u8(13).string(unit).test(test).payload();
    }

    public static byte[] exitCalled(String stacks) {
        return new WireWriter().u8(14).string(stacks).payload();
    }
}
