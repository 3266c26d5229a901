package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;

/** Engines of which the harness knows little: what they find is what runs, each test once. */
class EnginesTest {
    private static HarnessRun engines() {
        return HarnessRun.of("engines", "junit-platform");
    }

    private static List<String> check(String fixture) throws Exception {
        return FoundRuns.check(EnginesTest::engines, fixture);
    }

    @ParameterizedTest
    @ValueSource(strings = {"engines", "suites6"})
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
                FoundRuns.check(
                        () -> HarnessRun.of(classpath, "junit-platform"), "suite.PlatformSuite"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"engines", "suites6"})
    void aSuitesClassFailsForItsOwnTestsAlone(String classpath) throws Exception {
        HarnessRun run = HarnessRun.of(classpath, "junit-platform");
        List<String> results =
                run.whole(
                                "suite.PackageSuite",
                                "fixtures.suite.packaged.One.one()",
                                "fixtures.suite.packaged.Two.two()")
                        .whole("suite.packaged.One", "one()")
                        .run()
                        .results();
        assertEquals(
                List.of(
                        "PackageSuite.fixtures.suite.packaged.One.one() PASSED",
                        "class Two IllegalStateException: no database",
                        "PackageSuite.fixtures.suite.packaged.Two.two() ERRORED (set-up of its class"
                                + " failed) IllegalStateException: no database",
                        "One.one() PASSED"),
                results);
    }

    @Test
    void anEmptySuiteIsAFailure() throws Exception {
        List<String> answers = engines().discover("suite.EmptySuite").run().results();
        assertTrue(answers.get(0).startsWith("EmptySuite failed "), answers::toString);
    }

    @Test
    void scenariosThatAreCalledAlikeAreToldApart() throws Exception {
        assertEquals(List.of(), check("suite.Features"));
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
                engines()
                        .part("spock.Features", "is #number below 3?", "unrolled")
                        .run()
                        .results();
        assertEquals(List.of(), results);
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
        assertEquals(List.of(), check("jqwik.Properties"));
    }

    @Test
    void archUnit() throws Exception {
        assertEquals(List.of(), check("archunit.Rules"));
    }

    @Test
    void kotest() throws Exception {
        assertEquals(List.of(), check("kotest.Texts"));
    }
}
