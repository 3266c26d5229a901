package dev.testfleet.harness;

import static dev.testfleet.harness.HarnessRun.testng;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.EveryTestNg;
import dev.testfleet.harness.wire.StreamKind;

import java.io.File;
import java.util.List;

class TestNgTest {
    @EveryTestNg
    void everyKindOfTest(String classpath) throws Exception {
        Transcript transcript =
                testng(classpath)
                        .whole(
                                "testng.NgPlain",
                                "passes()",
                                "fails()",
                                "skips()",
                                "depends()",
                                "injected(org.testng.ITestContext)",
                                "each(int, java.lang.String)",
                                "twice()")
                        .run();
        List<String> results = transcript.sortedResults();
        assertTrue(results.get(0).startsWith("NgPlain.depends() SKIPPED ("), results::toString);
        assertTrue(results.get(0).contains("depends on not successfully finished methods"));
        assertEquals(
                List.of(
                        "NgPlain.each(int, java.lang.String) #0 'each[0](1, a)' PASSED",
                        "NgPlain.each(int, java.lang.String) #1 'each[1](2, b)' FAILED"
                                + " AssertionError: expected [1] but found [2]",
                        "NgPlain.each(int, java.lang.String) FAILED (1 of 2 invocations failed,"
                                + " first #1)",
                        "NgPlain.fails() FAILED AssertionError: on purpose",
                        "NgPlain.injected(org.testng.ITestContext) PASSED",
                        "NgPlain.passes() PASSED",
                        "NgPlain.skips() ABORTED (not here) SkipException: not here",
                        "NgPlain.twice() #0 'twice[0]()' PASSED",
                        "NgPlain.twice() #1 'twice[1]()' PASSED",
                        "NgPlain.twice() PASSED"),
                results.subList(1, results.size()));
        assertEquals("heard\n", transcript.output("u1", "NgPlain.passes()", StreamKind.STDOUT));
        assertFalse(new File("test-output").exists());
    }

    @EveryTestNg
    void onlyPlannedTestsOfAPartAreReported(String classpath) throws Exception {
        assertEquals(
                List.of("start NgPlain.passes()", "NgPlain.passes() PASSED", "end u1"),
                testng(classpath).part("testng.NgPlain", "passes()").run().all().stream()
                        .filter(line -> !line.contains("STD"))
                        .toList());
        assertEquals(
                List.of("NgDependent.second() PASSED"),
                testng(classpath).part("testng.NgDependent", "second()").run().results());
    }

    @EveryTestNg
    void failingConfigurationErrsTheTests(String classpath) throws Exception {
        List<String> results =
                testng(classpath)
                        .whole("testng.NgConfigurationFails", "one()", "each(int)")
                        .run()
                        .results();
        assertEquals(
                "class NgConfigurationFails IllegalStateException: no database", results.get(0));
        assertEquals(1, results.stream().filter(line -> line.startsWith("class ")).count());
        assertTrue(
                results.contains(
                        "NgConfigurationFails.one() ERRORED (its configuration failed)"
                                + " IllegalStateException: no database"),
                results::toString);
        // TestNG 7 asks the data provider nevertheless, TestNG 6 doesn't.
        assertEquals(
                1,
                results.stream()
                        .filter(line -> line.startsWith("NgConfigurationFails.each(int) ERRORED ("))
                        .count(),
                results::toString);
    }

    @EveryTestNg
    void aFailingDataProviderIsNoSuccess(String classpath) throws Exception {
        List<String> results =
                testng(classpath)
                        .whole("testng.NgProviderFails", "each(int)", "other()")
                        .run()
                        .sortedResults();
        assertTrue(
                results.stream()
                        .anyMatch(
                                line ->
                                        line.matches(
                                                "NgProviderFails.each\\(int\\)"
                                                        + " (FAILED|ERRORED).*")),
                results::toString);
        assertTrue(results.contains("NgProviderFails.other() PASSED"), results::toString);
    }

    @EveryTestNg
    void suiteConfigurationRunsOnceInTheJvm(String classpath) throws Exception {
        Transcript transcript =
                testng(classpath)
                        .whole("testng.NgFirst", "inherited()")
                        .whole("testng.NgSecond", "inherited()")
                        .run();
        assertEquals(
                List.of("NgFirst.inherited() PASSED", "NgSecond.inherited() PASSED"),
                transcript.results());
        String output =
                transcript
                        .outputs()
                        .map(Transcript::text)
                        .filter(text -> text.contains("suite"))
                        .reduce("", String::concat);
        assertEquals("before suite\nafter suite\n", output);
        assertEquals("after suite\n", transcript.output("", null, StreamKind.STDOUT));
    }

    @EveryTestNg
    void theLastAttemptOfARetriedTestCounts(String classpath) throws Exception {
        List<String> results =
                testng(classpath).whole("testng.NgRetries", "second()").run().results();
        assertTrue(
                results.get(results.size() - 1).equals("NgRetries.second() PASSED"),
                results::toString);
    }

    @EveryTestNg
    void groupsAndParallelMethodsAreRespected(String classpath) throws Exception {
        assertEquals(
                List.of("NgGroups.slow() PASSED"),
                testng(
                                classpath,
                                "includeGroups",
                                "slow",
                                "parallel",
                                "methods",
                                "threadCount",
                                "2")
                        .whole("testng.NgGroups", "slow()")
                        .run()
                        .results());
    }
}
