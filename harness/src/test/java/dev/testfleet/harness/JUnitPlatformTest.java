package dev.testfleet.harness;

import static dev.testfleet.harness.HarnessRun.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.EveryPlatform;
import dev.testfleet.harness.Frameworks.PlatformsWithClassTemplates;

import org.junit.jupiter.api.Test;

import java.util.List;

class JUnitPlatformTest {
    @EveryPlatform
    void plainTestsInEveryVersion(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Plain.aborts() ABORTED (Assumption failed: not here)"
                                + " TestAbortedException: Assumption failed: not here",
                        "Plain.disabled() SKIPPED (later)",
                        "Plain.fails() FAILED AssertionFailedError: on purpose",
                        "Plain.passes() PASSED",
                        "Plain.takes(org.junit.jupiter.api.TestInfo) PASSED"),
                platform(classpath)
                        .whole(
                                "jupiter.Plain",
                                "passes()",
                                "fails()",
                                "aborts()",
                                "disabled()",
                                "takes(org.junit.jupiter.api.TestInfo)")
                        .run()
                        .sortedResults());
    }

    @EveryPlatform
    void onlyPlannedTestsOfAPartRun(String classpath) throws Exception {
        assertEquals(
                List.of("start Plain.passes()", "Plain.passes() PASSED", "end u1"),
                platform(classpath).part("jupiter.Plain", "passes()").run().all());
    }

    @Test
    void testsThatDiscoveryMissedAreReportedForAWholeClass() throws Exception {
        assertTrue(
                platform("junitPlatform111")
                        .whole("jupiter.Plain")
                        .run()
                        .results()
                        .contains("Plain.passes() PASSED"));
    }

    @EveryPlatform
    void inheritedNestedClassesBelongToTheClassThatRuns(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "InheritsNested$Inner$Deep.deep() PASSED",
                        "InheritsNested$Inner.inner() PASSED",
                        "InheritsNested.inherited() PASSED"),
                platform(classpath)
                        .part(
                                "jupiter.InheritsNested",
                                "inherited()",
                                "$Inner.inner()",
                                "$Inner$Deep.deep()")
                        .run()
                        .sortedResults());
    }

    @EveryPlatform
    void invocationsAreChildrenOfTheirTest(String classpath) throws Exception {
        List<String> results =
                platform(classpath)
                        .part("jupiter.Templates", "odd(int)", "twice()")
                        .run()
                        .sortedResults();
        assertEquals(
                List.of(
                        "Templates.odd(int) #1 'number 1' PASSED",
                        "Templates.odd(int) #2 'number 2' FAILED AssertionFailedError: even ==>"
                                + " expected: <true> but was: <false>",
                        "Templates.odd(int) #3 'number 3' PASSED",
                        "Templates.odd(int) FAILED (1 of 3 invocations failed, first #2)",
                        "Templates.twice() #1 'repetition 1 of 2' PASSED",
                        "Templates.twice() #2 'repetition 2 of 2' PASSED",
                        "Templates.twice() PASSED"),
                results);
    }

    @Test
    void aFailingArgumentsProviderFailsTheTestItself() throws Exception {
        List<String> results =
                platform("junitPlatform111")
                        .part("jupiter.Templates", "unprovided(java.lang.String[])")
                        .run()
                        .results();
        assertEquals(
                List.of(
                        "Templates.unprovided(java.lang.String[]) FAILED"
                                + " IllegalStateException: no arguments today"),
                results);
    }

    @EveryPlatform
    void dynamicTestsHaveThePathOfTheirContainers(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Dynamic.empty() PASSED",
                        "Dynamic.tree() #1 'first' PASSED",
                        "Dynamic.tree() #2/#1 'second' PASSED",
                        "Dynamic.tree() PASSED"),
                platform(classpath)
                        .whole("jupiter.Dynamic", "tree()", "empty()")
                        .run()
                        .sortedResults());
    }

    @EveryPlatform
    void aDisabledClassSkipsItsTests(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "DisabledClass$Inner.two() SKIPPED (whole class)",
                        "DisabledClass.one() SKIPPED (whole class)"),
                platform(classpath)
                        .whole("jupiter.DisabledClass", "one()", "$Inner.two()")
                        .run()
                        .sortedResults());
    }

    @Test
    void aFailingSetUpIsToldOnceAndErrsTheTestsBelow() throws Exception {
        assertEquals(
                List.of(
                        "null STDOUT setting up",
                        "class BeforeAllFails IllegalStateException: no database",
                        "BeforeAllFails.one() ERRORED (set-up of its class failed)"
                                + " IllegalStateException: no database",
                        "BeforeAllFails$Inner.two() ERRORED (set-up of its class failed)"
                                + " IllegalStateException: no database",
                        "end u1"),
                platform("junitPlatform111")
                        .whole("jupiter.BeforeAllFails", "one()", "$Inner.two()")
                        .run()
                        .all());
    }

    @Test
    void anAbortedSetUpAbortsAndAFailingTearDownIsTheClasss() throws Exception {
        assertEquals(
                List.of(
                        "BeforeAllAborts.one() ABORTED (Assumption failed: not on this machine)"
                                + " TestAbortedException: Assumption failed: not on this machine",
                        "AfterAllFails.one() PASSED",
                        "class AfterAllFails IllegalStateException: still locked"),
                platform("junitPlatform111")
                        .whole("jupiter.BeforeAllAborts", "one()")
                        .whole("jupiter.AfterAllFails", "one()")
                        .run()
                        .results());
    }

    @Test
    void aClassThatIsNotThereErrsItsTestsAndTheNextUnitRuns() throws Exception {
        List<String> results =
                platform("junitPlatform111")
                        .whole("jupiter.Missing", "one()")
                        .part("jupiter.Plain", "passes()")
                        .run()
                        .results();
        assertEquals(3, results.size(), results::toString);
        assertTrue(results.get(0).startsWith("class Missing "), results::toString);
        assertTrue(results.get(1).startsWith("Missing.one() ERRORED ("), results::toString);
        assertEquals("Plain.passes() PASSED", results.get(2));
    }

    @Test
    void aBrokenInitialiserFailsTheTest() throws Exception {
        List<String> results =
                platform("junitPlatform111").whole("jupiter.BrokenClass", "one()").run().results();
        assertEquals(1, results.size(), results::toString);
        assertTrue(
                results.get(0).startsWith("BrokenClass.one() FAILED ExceptionInInitializerError"),
                results::toString);
    }

    @PlatformsWithClassTemplates
    void testsOfAClassTemplateEndWithTheirUnit(String classpath) throws Exception {
        List<String> results =
                platform(classpath)
                        .whole("jupiter.ClassTemplate", "one()", "each(java.lang.String)")
                        .run()
                        .sortedResults();
        assertEquals(
                List.of(
                        "ClassTemplate.each(java.lang.String) #1/#1 '[1]' PASSED",
                        "ClassTemplate.each(java.lang.String) #1/#2 '[2]' PASSED",
                        "ClassTemplate.each(java.lang.String) #2/#1 '[1]' PASSED",
                        "ClassTemplate.each(java.lang.String) #2/#2 '[2]' PASSED",
                        "ClassTemplate.each(java.lang.String) PASSED",
                        "ClassTemplate.one() #1 'one()' PASSED",
                        "ClassTemplate.one() #2 'one()' FAILED AssertionFailedError: expected: <1>"
                                + " but was: <2>",
                        "ClassTemplate.one() FAILED (1 of 2 invocations failed, first #2)"),
                results.stream()
                        // Each version displays arguments in its own way.
                        .map(line -> line.replaceAll("(\\[\\d]) [^']*'", "$1'"))
                        .toList());
    }

    @Test
    void tagsAndEnginesAreRespected() throws Exception {
        assertEquals(
                List.of("Tagged.slow() PASSED"),
                platform("junitPlatform111", "includeTags", "slow", "excludeEngines", "testng")
                        .whole("jupiter.Tagged", "slow()")
                        .run()
                        .results());
    }

    @EveryPlatform
    void vintageRunsLegacyTests(String classpath) throws Exception {
        assertEquals(LegacyExpectations.plain(), LegacyExpectations.run(platform(classpath)));
    }

    @Test
    void theTestNgEngineMapsToTheSamePlan() throws Exception {
        List<String> results =
                platform("junitPlatform111", "includeEngines", "testng")
                        .part("testng.NgPlain", "passes()", "each(int, java.lang.String)")
                        .run()
                        .results();
        assertTrue(results.contains("NgPlain.passes() PASSED"), results::toString);
        assertTrue(
                results.contains(
                        "NgPlain.each(int, java.lang.String) FAILED (1 of 2 invocations failed,"
                                + " first #1)"),
                results::toString);
    }
}
