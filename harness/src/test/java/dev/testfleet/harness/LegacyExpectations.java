package dev.testfleet.harness;

import java.util.List;

/** JUnit 3 and 4 come to the same, whether JUnit 4 itself or the Vintage engine runs them. */
final class LegacyExpectations {
    private LegacyExpectations() {}

    static List<String> run(HarnessRun run) throws Exception {
        return run.whole("legacy.FourPlain", "passes()", "fails()", "aborts()", "ignored()")
                .part("legacy.FourInherits", "passes()")
                .whole("legacy.FourParameterized", "one()", "other()")
                .whole("legacy.FourIgnored", "one()", "two()")
                .whole("legacy.FourBeforeClassFails", "one()", "two()")
                .whole("legacy.Three", "testPasses()", "testFails()")
                .whole("legacy.ThreeSuite")
                .run()
                .sortedResults();
    }

    static List<String> plain() {
        return List.of(
                "FourBeforeClassFails.one() ERRORED (set-up of its class failed)"
                        + " IllegalStateException: no database",
                "FourBeforeClassFails.two() ERRORED (set-up of its class failed)"
                        + " IllegalStateException: no database",
                "FourIgnored.one() SKIPPED (whole class)",
                "FourIgnored.two() SKIPPED (whole class)",
                "FourInherits.passes() PASSED",
                "FourParameterized.one() #0 'one[0: n=1]' PASSED",
                "FourParameterized.one() #1 'one[1: n=2]' FAILED AssertionError: expected:<1> but"
                        + " was:<2>",
                "FourParameterized.one() FAILED (1 of 2 invocations failed, first #1)",
                "FourParameterized.other() #0 'other[0: n=1]' PASSED",
                "FourParameterized.other() #1 'other[1: n=2]' PASSED",
                "FourParameterized.other() PASSED",
                "FourPlain.aborts() ABORTED (not here) AssumptionViolatedException: not here",
                "FourPlain.fails() FAILED AssertionError: on purpose",
                "FourPlain.ignored() SKIPPED (later)",
                "FourPlain.onItsOwnThread() PASSED",
                "FourPlain.passes() PASSED",
                "Three.testFails() FAILED AssertionFailedError: on purpose",
                "Three.testPasses() PASSED",
                "ThreeSuite.fixtures.legacy.Three.testFails() FAILED AssertionFailedError: on"
                        + " purpose",
                "ThreeSuite.fixtures.legacy.Three.testPasses() PASSED",
                "class FourBeforeClassFails IllegalStateException: no database");
    }
}
