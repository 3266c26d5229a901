package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.EveryJUnit4;
import dev.testfleet.harness.wire.StreamKind;

import org.junit.jupiter.api.Test;

import java.util.List;

class JUnit4Test {
    private static HarnessRun junit4(String... options) {
        return HarnessRun.of("junit4", "junit4", options);
    }

    @EveryJUnit4
    void runsLegacyTests(String classpath) throws Exception {
        assertEquals(
                LegacyExpectations.plain(),
                LegacyExpectations.run(HarnessRun.of(classpath, "junit4")));
    }

    @Test
    void partsOfParameterizedClassesKeepTheirInvocationIds() throws Exception {
        assertEquals(
                List.of(
                        "FourParameterized.other() #0 'other[0: n=1]' PASSED",
                        "FourParameterized.other() #1 'other[1: n=2]' PASSED",
                        "FourParameterized.other() PASSED"),
                junit4().part("legacy.FourParameterized", "other()").run().results());
    }

    @Test
    void whatRunsBetweenTheInvocationsOfATestIsNotItsTime() throws Exception {
        assertEquals(
                List.of(
                        "start FourParameterized.one()",
                        "pause FourParameterized.one()",
                        "start FourParameterized.other()",
                        "pause FourParameterized.other()",
                        "resume FourParameterized.one()",
                        "pause FourParameterized.one()",
                        "resume FourParameterized.other()",
                        "pause FourParameterized.other()"),
                junit4()
                        .whole("legacy.FourParameterized", "one()", "other()")
                        .run()
                        .times()
                        .stream()
                        .filter(line -> !line.contains("ED"))
                        .toList());
    }

    @Test
    void aTestThatRunsOutOfMemoryFailsAlone() throws Exception {
        List<String> results =
                junit4().whole("legacy.FourOutOfMemory", "all()", "one()").run().results();
        assertEquals(2, results.size(), results::toString);
        assertTrue(
                results.get(0).startsWith("FourOutOfMemory.all() FAILED OutOfMemoryError"),
                results::toString);
        assertEquals("FourOutOfMemory.one() PASSED", results.get(1));
    }

    @Test
    void aClassThatJUnitRefusesErrsItsTests() throws Exception {
        List<String> results = junit4().part("legacy.FourBroken", "one()").run().results();
        assertEquals(2, results.size(), results::toString);
        assertTrue(results.get(0).startsWith("class FourBroken "), results::toString);
        assertTrue(
                results.get(1).startsWith("FourBroken.one() ERRORED (set-up of its class failed)"),
                results::toString);
    }

    @Test
    void categoriesAreRespected() throws Exception {
        String slow = "fixtures.legacy.FourPlain$Slow";
        assertEquals(
                List.of("FourPlain.fails() FAILED AssertionError: on purpose"),
                junit4("includeCategories", slow)
                        .whole("legacy.FourPlain", "fails()")
                        .run()
                        .results());
        assertEquals(
                List.of("FourPlain.passes() PASSED"),
                junit4("excludeCategories", slow)
                        .part("legacy.FourPlain", "passes()", "fails()")
                        .run()
                        .results());
    }

    @Test
    void severalFailuresOfOneTestAreKept() throws Exception {
        assertEquals(
                List.of(
                        "FourCollects.two() FAILED IllegalStateException: first"
                                + " IllegalArgumentException: second"),
                junit4().whole("legacy.FourCollects", "two()").run().results());
    }

    @Test
    void outputOfATestWithATimeLimitIsItsOwn() throws Exception {
        assertEquals(
                "timed\n",
                junit4().part("legacy.FourPlain", "onItsOwnThread()")
                        .run()
                        .output("u1", "FourPlain.onItsOwnThread()", StreamKind.STDOUT));
    }
}
