package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.AgentSide;
import dev.testfleet.harness.wire.AgentSide.ClassFailed;
import dev.testfleet.harness.wire.AgentSide.Discovered;
import dev.testfleet.harness.wire.AgentSide.InvocationFinished;
import dev.testfleet.harness.wire.AgentSide.Said;
import dev.testfleet.harness.wire.AgentSide.TestFinished;
import dev.testfleet.harness.wire.AgentSide.TestStarted;
import dev.testfleet.harness.wire.TestName;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/** Checks that what is found in a class is what runs, by these names, in whole and in parts. */
final class FoundRuns {
    private FoundRuns() {}

    /**
     * Asks for the tests of a fixture; then runs it as a whole with these tests, and each of them
     * by itself.
     *
     * @return the tests, as {@link Transcript#name} writes them, sorted
     */
    static List<String> check(Supplier<HarnessRun> harness, String fixture) throws Exception {
        return check(harness, fixture, true);
    }

    /**
     * @param parts whether each test can run without the others
     */
    static List<String> check(Supplier<HarnessRun> harness, String fixture, boolean parts)
            throws Exception {
        Transcript asked = harness.get().discover(fixture).run();
        List<Discovered> found =
                asked.messages().stream()
                        .filter(Discovered.class::isInstance)
                        .map(Discovered.class::cast)
                        .toList();
        assertEquals(1, found.size(), () -> asked.all().toString());
        List<TestName> tests = found.get(0).tests();
        assertEquals(tests.size(), new HashSet<>(tests).size(), "names are unique: " + tests);
        assertTrue(
                asked.messages().stream().noneMatch(TestStarted.class::isInstance),
                () -> "discovery runs nothing: " + asked.all());

        String className = "fixtures." + fixture;
        HarnessRun run = harness.get();
        run.say(AgentSide.runUnit("whole", className, true, tests));
        if (parts) {
            for (TestName test : tests) {
                run.say(AgentSide.runUnit(test.toString(), className, false, List.of(test)));
            }
        }
        Transcript ran = run.run();
        for (TestName test : tests) {
            assertEquals(1, ends(ran, "whole", test), () -> test + " as a whole: " + ran.all());
            if (parts) {
                assertEquals(
                        1, ends(ran, test.toString(), test), () -> test + " alone: " + ran.all());
            }
        }
        Set<TestName> known = new HashSet<>(tests);
        for (Said message : ran.messages()) {
            if (message instanceof TestFinished end) {
                assertTrue(known.contains(end.test()), () -> end.test() + " was not found");
                assertTrue(
                        end.unit().equals("whole") || end.unit().equals(end.test().toString()),
                        () -> end.test() + " ran in " + end.unit());
            } else if (message instanceof InvocationFinished end) {
                assertTrue(known.contains(end.test()), () -> end.test() + " was not found");
            }
        }
        return tests.stream().map(Transcript::name).sorted().toList();
    }

    private static long ends(Transcript ran, String unit, TestName test) {
        return ran.messages().stream()
                .filter(TestFinished.class::isInstance)
                .map(TestFinished.class::cast)
                .filter(end -> end.unit().equals(unit) && end.test().equals(test))
                .count();
    }

    /** Messages of classes that failed outside of their tests. */
    static List<String> classFailures(Transcript transcript) {
        List<String> failures = new ArrayList<>();
        for (Said message : transcript.messages()) {
            if (message instanceof ClassFailed failed) {
                failures.add(failed.thrown().message);
            }
        }
        return failures;
    }
}
