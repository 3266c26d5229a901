package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.PlatformsWithSuites;

import org.junit.jupiter.api.Test;

import java.util.List;

/** Engines of which the harness knows little: what they find is what runs, each test once. */
class EnginesTest {
    private static HarnessRun engines() {
        return HarnessRun.platform("engines");
    }

    private static List<String> check(String fixture) throws Exception {
        return FoundRuns.check(EnginesTest::engines, fixture);
    }

    @PlatformsWithSuites
    void testsOfASuiteAreItsOwn(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "PlatformSuite.fixtures.jupiter.InheritsNested$Inner$Deep.deep()",
                        "PlatformSuite.fixtures.jupiter.InheritsNested$Inner.inner()",
                        "PlatformSuite.fixtures.jupiter.InheritsNested.inherited()",
                        "PlatformSuite.fixtures.jupiter.Plain.aborts()",
                        "PlatformSuite.fixtures.jupiter.Plain.disabled()",
                        "PlatformSuite.fixtures.jupiter.Plain.fails()",
                        "PlatformSuite.fixtures.jupiter.Plain.passes()",
                        "PlatformSuite.fixtures.jupiter.Plain.takes(org.junit.jupiter.api.TestInfo)",
                        "PlatformSuite.fixtures.jupiter.Templates.array(java.lang.String)",
                        "PlatformSuite.fixtures.jupiter.Templates.odd(int)",
                        "PlatformSuite.fixtures.jupiter.Templates.twice()",
                        "PlatformSuite.fixtures.jupiter.Templates.unprovided(java.lang.String[])",
                        "PlatformSuite.fixtures.legacy.FourEncloses$First.one()",
                        "PlatformSuite.fixtures.legacy.FourEncloses$Second.one()",
                        "PlatformSuite.fixtures.legacy.FourParameterized.one()",
                        "PlatformSuite.fixtures.legacy.FourParameterized.other()",
                        "PlatformSuite.fixtures.suite.InnerSuite.fixtures.jupiter.Plain.aborts()",
                        "PlatformSuite.fixtures.suite.InnerSuite.fixtures.jupiter.Plain.disabled()",
                        "PlatformSuite.fixtures.suite.InnerSuite.fixtures.jupiter.Plain.fails()",
                        "PlatformSuite.fixtures.suite.InnerSuite.fixtures.jupiter.Plain.passes()",
                        "PlatformSuite.fixtures.suite.InnerSuite.fixtures.jupiter.Plain.takes(org.junit.jupiter.api.TestInfo)"),
                FoundRuns.check(() -> HarnessRun.platform(classpath), "suite.PlatformSuite"));
    }

    @PlatformsWithSuites
    void aSuitesClassFailsForItsOwnTestsAlone(String classpath) throws Exception {
        HarnessRun run = HarnessRun.platform(classpath);
        List<String> results =
                run.whole(
                                "suite.PackageSuite",
                                "fixtures.suite.packaged.One.one()",
                                "fixtures.suite.packaged.Two.two()")
                        .whole("suite.packaged.One", "one()")
                        .run()
                        .sortedResults();
        // A package's classes come in the order of its folder.
        assertEquals(
                List.of(
                        "One.one() PASSED",
                        "PackageSuite.fixtures.suite.packaged.One.one() PASSED",
                        "PackageSuite.fixtures.suite.packaged.Two.two() ERRORED (set-up of its"
                                + " class failed) IllegalStateException: no database",
                        "class Two IllegalStateException: no database"),
                results);
    }

    @Test
    void anEmptySuiteIsAFailure() throws Exception {
        List<String> answers = engines().discover("suite.EmptySuite").run().results();
        assertTrue(answers.get(0).startsWith("EmptySuite failed "), answers::toString);
    }

    @Test
    void scenariosThatAreCalledAlikeAreToldApart() throws Exception {
        assertEquals(
                List.of(
                        "Features.Example #1.1",
                        "Features.Example #1.2",
                        "Features.small [feature:classpath:fixtures/suite/features/first.feature"
                                + "/scenario:2]",
                        "Features.small [feature:classpath:fixtures/suite/features/second.feature"
                                + "/scenario:2]",
                        "Features.twice [scenario:10]",
                        "Features.twice [scenario:6]"),
                check("suite.Features"));
    }

    @Test
    void spock() throws Exception {
        assertEquals(
                List.of(
                        "Features.adds two numbers",
                        "Features.fails",
                        "Features.ignored (for now)",
                        "Features.inherited feature",
                        "Features.is #number below 3?",
                        "Features.unrolled"),
                check("spock.Features"));
        List<String> results =
                engines().part("spock.Features", "is #number below 3?", "unrolled").run().results();
        assertEquals(
                List.of(
                        "Features.is #number below 3? #0 'is 1 below 3?' PASSED",
                        "Features.is #number below 3? #1 'is 2 below 3?' PASSED",
                        "Features.is #number below 3? FAILED (1 of 3 invocations failed, first #2)",
                        "Features.unrolled #0 'number 1' PASSED",
                        "Features.unrolled #1 'number 2' PASSED",
                        "Features.unrolled PASSED"),
                results.stream().filter(line -> !line.contains("Condition")).toList());
    }

    @Test
    void aSpecsFailingSetUpErrsItsFeatures() throws Exception {
        assertEquals(
                List.of(
                        "class SetUpFails IllegalStateException: no database",
                        "SetUpFails.one ERRORED (set-up of its class failed) IllegalStateException:"
                                + " no database"),
                engines().whole("spock.SetUpFails", "one").run().results());
    }

    @Test
    void jqwik() throws Exception {
        assertEquals(
                List.of(
                        "Properties$Inner.fails()",
                        "Properties.fails()",
                        "Properties.inherited()",
                        "Properties.lists(java.util.List, int[])",
                        "Properties.small(int)"),
                check("jqwik.Properties"));
    }

    @Test
    void archUnit() throws Exception {
        assertEquals(
                List.of(
                        "Rules.fails",
                        "Rules.fixtures.archunit.MoreRules.shared",
                        "Rules.fixtures.archunit.OtherRules.shared",
                        "Rules.method",
                        "Rules.rules_are_public"),
                check("archunit.Rules"));
    }

    @Test
    void kotest() throws Exception {
        // Kotest lists its tests when it runs them: a spec is one test, they are its invocations.
        assertEquals(
                List.of("Texts.fixtures.kotest.Texts"),
                FoundRuns.check(() -> HarnessRun.platform("kotest"), "kotest.Texts"));
    }
}
