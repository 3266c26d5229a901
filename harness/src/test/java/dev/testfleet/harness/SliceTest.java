package dev.testfleet.harness;

import static dev.testfleet.harness.HarnessRun.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.PlatformsThatSlice;
import dev.testfleet.harness.wire.StreamKind;

import org.junit.jupiter.api.Test;

import java.util.List;

/** Some of a test's invocations. */
class SliceTest {
    @PlatformsThatSlice
    void onlyTheseInvocationsRunUnderTheirNumbers(String classpath) throws Exception {
        Transcript transcript =
                platform(classpath)
                        .slice("jupiter.Sliced", "each(int)", 1, 2)
                        .slice("jupiter.Sliced", "each(int)", 3, 4)
                        .slice("jupiter.Sliced", "each(int)", 5, null)
                        .run();
        assertEquals(
                List.of(
                        "Sliced.each(int) #1 'number 1' PASSED",
                        "Sliced.each(int) #2 'number 2' PASSED",
                        "Sliced.each(int) PASSED",
                        "Sliced.each(int) #3 'number 3' PASSED",
                        "Sliced.each(int) #4 'number 4' FAILED AssertionError: four",
                        "Sliced.each(int) FAILED (1 of 2 invocations failed, first #4)",
                        "Sliced.each(int) #5 'number 5' PASSED",
                        "Sliced.each(int) PASSED"),
                transcript.results());
        assertEquals(
                "set up\neach 1\nset up\neach 2\n",
                transcript.output("u1", "Sliced.each(int)", StreamKind.STDOUT));
        assertEquals(
                "set up\neach 5\n", transcript.output("u3", "Sliced.each(int)", StreamKind.STDOUT));
    }

    @PlatformsThatSlice
    void factoriesNestedAndInheritedTestsAreSliced(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Sliced.made() #2 'made 2' PASSED",
                        "Sliced.made() #3 'made 3' PASSED",
                        "Sliced.made() PASSED",
                        "Sliced$Inner.thrice() #3 'time 3' PASSED",
                        "Sliced$Inner.thrice() PASSED",
                        "InheritsSliced.each(int) #2 'number 2' PASSED",
                        "InheritsSliced.each(int) PASSED"),
                platform(classpath)
                        .slice("jupiter.Sliced", "made()", 2, 3)
                        .slice("jupiter.Sliced", "$Inner.thrice()", 3, 9)
                        .slice("jupiter.InheritsSliced", "each(int)", 2, 2)
                        .run()
                        .results());
    }

    @PlatformsThatSlice
    void aSliceWithoutInvocationsEndsOnce(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Sliced.each(int) PASSED",
                        "Sliced.made() PASSED",
                        "Sliced$Inner.thrice() PASSED"),
                platform(classpath)
                        .slice("jupiter.Sliced", "each(int)", 6, null)
                        .slice("jupiter.Sliced", "made()", 50, 60)
                        .slice("jupiter.Sliced", "$Inner.thrice()", 4, 4)
                        .run()
                        .results());
    }

    @Test
    void moreInvocationsThanCanBeSelectedAreNotMissedInSilence() throws Exception {
        List<String> results =
                platform("junitPlatform111")
                        .slice("jupiter.Sliced", "often()", 2, null)
                        .run()
                        .results();
        String reason =
                "not run: a part of a test's invocations has at most 20000 of them; keep its class"
                        + " whole with splitClasses, or plan again with timings of all its"
                        + " invocations";
        assertEquals(20_002, results.size());
        assertTrue(
                results.contains(
                        "Sliced.often() #20002 'all further invocations' ERRORED ("
                                + reason
                                + ")"));
        assertEquals(
                "Sliced.often() ERRORED (1 of 20001 invocations could not be completed, first"
                        + " #20002)",
                results.get(20_001));
        assertEquals(
                "Sliced.often() PASSED",
                platform("junitPlatform111")
                        .slice("jupiter.Sliced", "often()", 11, null)
                        .run()
                        .results()
                        .get(0)
                        .replaceAll(" #11 .*PASSED", " PASSED"));
    }

    @Test
    void whatCanNotBeSlicedIsRefusedAndNotRun() throws Exception {
        List<String> results =
                platform("junitPlatform111")
                        .slice("jupiter.Sliced", "once()", 1, 1)
                        .slice("jupiter.InheritsSliced", "$Inner.thrice()", 1, 1)
                        .slice("legacy.FourParameterized", "one()", 1, 1)
                        .run()
                        .results();
        assertEquals(3, results.size(), results::toString);
        refused(results.get(0), "Sliced.once()", "1 to 1 alone: the test has no invocations");
        refused(results.get(1), "InheritsSliced$Inner.thrice()", "class is inherited");
        refused(results.get(2), "FourParameterized.one()", "engine junit-vintage");
        refused(
                platform("junitPlatform13").slice("jupiter.Sliced", "each(int)", 2, null),
                "Sliced.each(int)",
                "from 2 on alone: this takes JUnit Platform 1.9 or later");
        refused(
                HarnessRun.of("junit4", "junit4").slice("legacy.FourParameterized", "one()", 1, 1),
                "FourParameterized.one()",
                "JUnit 4 runs all");
        String method = "each(int, java.lang.String)";
        refused(
                HarnessRun.testng("testng7").slice("testng.NgPlain", method, 1, 1),
                "NgPlain." + method,
                "TestNG runs all");
    }

    @Test
    void aRangeThatIsNoneIsAFailure() throws Exception {
        List<String> results =
                platform("junitPlatform111")
                        .slice("jupiter.Sliced", "each(int)", 3, 2)
                        .run()
                        .results();
        assertEquals(
                "class Sliced IllegalArgumentException: there are no invocations from 3 to 2",
                results.get(0));
        assertTrue(results.get(1).startsWith("Sliced.each(int) ERRORED ("), results::toString);
        assertEquals(2, results.size());
    }

    private static void refused(HarnessRun run, String test, String reason) throws Exception {
        List<String> results = run.run().results();
        assertEquals(1, results.size(), results::toString);
        refused(results.get(0), test, reason);
    }

    private static void refused(String line, String test, String reason) {
        assertTrue(line.startsWith(test + " ERRORED (failed to run the invocations from "), line);
        assertTrue(line.contains(reason), line);
        assertTrue(line.contains("(hint: "), line);
    }
}
