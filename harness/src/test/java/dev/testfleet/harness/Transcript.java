package dev.testfleet.harness;

import dev.testfleet.harness.wire.AgentSide.ClassFailed;
import dev.testfleet.harness.wire.AgentSide.Discovered;
import dev.testfleet.harness.wire.AgentSide.DiscoveryFailed;
import dev.testfleet.harness.wire.AgentSide.DiscoveryFinished;
import dev.testfleet.harness.wire.AgentSide.ExitCalled;
import dev.testfleet.harness.wire.AgentSide.Fault;
import dev.testfleet.harness.wire.AgentSide.InvocationFinished;
import dev.testfleet.harness.wire.AgentSide.Output;
import dev.testfleet.harness.wire.AgentSide.Ready;
import dev.testfleet.harness.wire.AgentSide.Said;
import dev.testfleet.harness.wire.AgentSide.TestFinished;
import dev.testfleet.harness.wire.AgentSide.TestPaused;
import dev.testfleet.harness.wire.AgentSide.TestResumed;
import dev.testfleet.harness.wire.AgentSide.TestStarted;
import dev.testfleet.harness.wire.AgentSide.UnitFinished;
import dev.testfleet.harness.wire.Finished;
import dev.testfleet.harness.wire.StreamKind;
import dev.testfleet.harness.wire.TestName;
import dev.testfleet.harness.wire.Thrown;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/** What a harness said, as lines that tests compare. */
record Transcript(List<Said> messages) {
    /** All but output, {@code ready} and the bounds of units and tests; in order. */
    List<String> results() {
        return lines(
                message ->
                        !(message instanceof Output || message instanceof Ready)
                                && !(message instanceof UnitFinished
                                        || message instanceof TestStarted)
                                && !isPause(message));
    }

    /** When tests run, in order. */
    List<String> times() {
        return lines(
                message ->
                        isPause(message)
                                || message instanceof TestStarted
                                || message instanceof TestFinished);
    }

    private static boolean isPause(Said message) {
        return message instanceof TestPaused || message instanceof TestResumed;
    }

    /** The same, sorted: for frameworks that choose the order. */
    List<String> sortedResults() {
        return results().stream().sorted().toList();
    }

    /** Everything in order; adjacent chunks of one test's output as one line. */
    List<String> all() {
        return lines(message -> !(message instanceof Ready || isPause(message)));
    }

    /** What a test wrote to a stream; {@code test} null for what belongs to none. */
    String output(String unit, String test, StreamKind stream) {
        StringBuilder text = new StringBuilder();
        outputs()
                .filter(output -> output.unit().equals(unit) && output.stream() == stream)
                .filter(output -> Objects.equals(name(output.test()), test))
                .forEach(output -> text.append(text(output)));
        return text.toString();
    }

    Stream<Output> outputs() {
        return messages.stream().filter(Output.class::isInstance).map(Output.class::cast);
    }

    private List<String> lines(java.util.function.Predicate<Said> wanted) {
        List<String> lines = new ArrayList<>();
        messages.stream().filter(wanted).forEach(message -> lines.add(line(message)));
        return lines;
    }

    private static String line(Said message) {
        if (message instanceof TestStarted started) {
            return "start " + name(started.test());
        } else if (message instanceof TestFinished end) {
            return name(end.test()) + " " + finished(end.finished());
        } else if (message instanceof InvocationFinished end) {
            return name(end.test())
                    + " "
                    + end.id()
                    + " '"
                    + end.name()
                    + "' "
                    + finished(end.finished());
        } else if (message instanceof Output output) {
            return name(output.test()) + " " + output.stream() + " " + text(output).strip();
        } else if (message instanceof ClassFailed failed) {
            return "class " + shortName(failed.className()) + " " + thrown(failed.thrown());
        } else if (message instanceof UnitFinished end) {
            return "end " + end.unit();
        } else if (message instanceof Fault fault) {
            return "fault " + fault.message() + " | " + fault.hint();
        }
        if (message instanceof Discovered found) {
            return shortName(found.className())
                    + " "
                    + found.engines()
                    + " "
                    + found.tests().stream().map(Transcript::name).sorted().toList();
        } else if (message instanceof DiscoveryFailed failed) {
            return shortName(failed.className()) + " failed " + thrown(failed.thrown());
        } else if (message instanceof DiscoveryFinished) {
            return "discovered";
        } else if (message instanceof TestPaused paused) {
            return "pause " + name(paused.test());
        } else if (message instanceof TestResumed resumed) {
            return "resume " + name(resumed.test());
        } else if (message instanceof ExitCalled exit) {
            String by = exit.stacks().contains("fixtures.") ? "a test" : exit.stacks();
            return "exit called by " + by;
        }
        return message.toString();
    }

    static String text(Output output) {
        return new String(output.bytes(), StandardCharsets.UTF_8);
    }

    static String name(TestName test) {
        return test == null ? null : shortName(test.className) + "." + test.method;
    }

    private static String shortName(String className) {
        return className.substring(className.lastIndexOf('.') + 1);
    }

    private static String finished(Finished finished) {
        StringBuilder text = new StringBuilder(finished.outcome.name());
        if (finished.reason != null) {
            text.append(" (").append(finished.reason).append(')');
        }
        finished.thrown.forEach(thrown -> text.append(' ').append(thrown(thrown)));
        return text.toString();
    }

    private static String thrown(Thrown thrown) {
        return shortName(thrown.kind) + ": " + thrown.message;
    }
}
