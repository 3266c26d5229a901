package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.Frameworks.EveryLegacyRunner;
import dev.testfleet.harness.Frameworks.EveryPlatform;
import dev.testfleet.harness.Frameworks.EveryTestNg;
import dev.testfleet.harness.Frameworks.PlatformsWithClassTemplates;
import dev.testfleet.harness.wire.AgentSide;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

/** What the frameworks find, and that it is what runs. */
class DiscoverTest {
    private static List<String> jupiter(String classpath, String fixture) throws Exception {
        return FoundRuns.check(() -> HarnessRun.platform(classpath), "jupiter." + fixture);
    }

    private static List<String> legacy(String classpath, String framework, String fixture)
            throws Exception {
        return FoundRuns.check(() -> HarnessRun.of(classpath, framework), "legacy." + fixture);
    }

    private static List<String> testng(String classpath, String fixture) throws Exception {
        return FoundRuns.check(() -> HarnessRun.testng(classpath), "testng." + fixture);
    }

    private static List<String> discover(HarnessRun run, String... fixtures) throws Exception {
        return run.discover(fixtures).run().results();
    }

    @EveryPlatform
    void jupiterInEveryVersion(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Plain.aborts()",
                        "Plain.disabled()",
                        "Plain.fails()",
                        "Plain.passes()",
                        "Plain.takes(org.junit.jupiter.api.TestInfo)"),
                jupiter(classpath, "Plain"));
        assertEquals(
                List.of(
                        "InheritsNested$Inner$Deep.deep()",
                        "InheritsNested$Inner.inner()",
                        "InheritsNested.inherited()"),
                jupiter(classpath, "InheritsNested"));
        assertEquals(
                List.of("DisabledClass$Inner.two()", "DisabledClass.one()"),
                jupiter(classpath, "DisabledClass"));
        assertEquals(List.of("Dynamic.empty()", "Dynamic.tree()"), jupiter(classpath, "Dynamic"));
        assertEquals(
                List.of(
                        "Templates.array(java.lang.String)",
                        "Templates.odd(int)",
                        "Templates.twice()",
                        "Templates.unprovided(java.lang.String[])"),
                jupiter(classpath, "Templates"));
    }

    @PlatformsWithClassTemplates
    void classTemplates(String classpath) throws Exception {
        assertEquals(
                List.of("ClassTemplate.each(java.lang.String)", "ClassTemplate.one()"),
                jupiter(classpath, "ClassTemplate"));
    }

    @EveryLegacyRunner
    void legacyTests(String classpath, String framework) throws Exception {
        for (String fixture :
                List.of("FourInherits", "FourIgnored", "FourParameterized", "FourPlain")) {
            legacy(classpath, framework, fixture);
        }
        assertEquals(
                List.of(
                        "ThreeAll.fixtures.legacy.FourInherits.aborts()",
                        "ThreeAll.fixtures.legacy.FourInherits.fails()",
                        "ThreeAll.fixtures.legacy.FourInherits.onItsOwnThread()",
                        "ThreeAll.fixtures.legacy.FourInherits.passes()",
                        "ThreeAll.fixtures.legacy.Three.testFails()",
                        "ThreeAll.fixtures.legacy.Three.testPasses()"),
                FoundRuns.check(
                        () -> HarnessRun.of(classpath, framework), "legacy.ThreeAll", false));
        List<String> texts = new ArrayList<>();
        if (framework.equals("junit4")) {
            // Vintage keeps to itself which class JUnit 4 describes a test with that has an id.
            texts.add("FourTexts.A feature.adds()");
        }
        texts.addAll(
                List.of("FourTexts.adds twice()", "FourTexts.adds()", "FourTexts.twice (so)()"));
        assertEquals(texts, legacy(classpath, framework, "FourTexts"));
    }

    @EveryLegacyRunner
    void testsOfASuiteAreItsOwn(String classpath, String framework) throws Exception {
        List<String> four =
                List.of("aborts()", "fails()", "ignored()", "onItsOwnThread()", "passes()");
        List<String> expected = new ArrayList<>();
        for (String test : four) {
            expected.add("FourSuite.fixtures.legacy.FourInherits." + test);
            expected.add(
                    "FourSuite.fixtures.legacy.FourInnerSuite.fixtures.legacy.FourInherits."
                            + test);
        }
        expected.add(
                "FourSuite.fixtures.legacy.FourInnerSuite.fixtures.legacy.FourEncloses$First.one()");
        expected.add(
                "FourSuite.fixtures.legacy.FourInnerSuite.fixtures.legacy.FourEncloses$Second.one()");
        expected.add("FourSuite.fixtures.legacy.FourSuite$Own.owned()");
        expected.add("FourSuite.fixtures.legacy.FourIgnored.one()");
        expected.add("FourSuite.fixtures.legacy.FourIgnored.two()");
        expected.add("FourSuite.fixtures.legacy.FourParameterized.one()");
        expected.add("FourSuite.fixtures.legacy.FourParameterized.other()");
        assertEquals(
                expected.stream().sorted().toList(), legacy(classpath, framework, "FourSuite"));
        assertEquals(
                List.of("FourEncloses$First.one()", "FourEncloses$Second.one()"),
                legacy(classpath, framework, "FourEncloses"));
    }

    @EveryLegacyRunner
    void whatIsRefusedSpoilsNothingBesideIt(String classpath, String framework) throws Exception {
        assertEquals(
                List.of(
                        "FourSuiteWithBroken.fixtures.legacy.FourParameterized.one()",
                        "FourSuiteWithBroken.fixtures.legacy.FourParameterized.other()"),
                legacy(classpath, framework, "FourSuiteWithBroken"));
        assertEquals(
                List.of("ThreeWithHidden.testSeen()"),
                legacy(classpath, framework, "ThreeWithHidden"));
        for (String fixture : List.of("FourSuiteWithBroken", "ThreeWithHidden")) {
            Transcript ran =
                    HarnessRun.of(classpath, framework)
                            .say(
                                    AgentSide.runUnit(
                                            "u", "fixtures.legacy." + fixture, true, List.of()))
                            .run();
            assertEquals(1, FoundRuns.classFailures(ran).size(), () -> ran.all().toString());
        }
    }

    @EveryLegacyRunner
    void whatJUnit4RefusesIsAFailureWithItsReason(String classpath, String framework)
            throws Exception {
        List<String> answers =
                discover(
                        HarnessRun.of(classpath, framework),
                        "legacy.FourBroken",
                        "legacy.ThreeSuiteFails",
                        "legacy.ThreeEmpty",
                        "legacy.Missing",
                        "legacy.Three");
        assertEquals(6, answers.size(), answers::toString);
        assertTrue(answers.get(0).startsWith("FourBroken failed "), answers::toString);
        assertTrue(answers.get(0).contains("one"), answers::toString);
        assertEquals(
                "ThreeSuiteFails failed IllegalStateException: no suite today", answers.get(1));
        assertTrue(answers.get(2).startsWith("ThreeEmpty failed "), answers::toString);
        assertTrue(answers.get(2).contains("No tests found in"), answers::toString);
        assertEquals(
                "Missing failed ClassNotFoundException: fixtures.legacy.Missing", answers.get(3));
        assertTrue(
                answers.get(4).endsWith("] [Three.testFails(), Three.testPasses()]"),
                answers::toString);
        assertEquals("discovered", answers.get(5));
    }

    @EveryTestNg
    void testNgInEveryVersion(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "NgPlain.depends()",
                        "NgPlain.each(int, java.lang.String)",
                        "NgPlain.fails()",
                        "NgPlain.injected(org.testng.ITestContext)",
                        "NgPlain.passes()",
                        "NgPlain.skips()",
                        "NgPlain.twice()"),
                testng(classpath, "NgPlain"));
        assertEquals(
                List.of(
                        "NgFactory.fixtures.testng.NgMade.made()",
                        "NgFactory.fixtures.testng.NgMade.otherMade()",
                        "NgFactory.own()"),
                testng(classpath, "NgFactory"));
    }

    @EveryTestNg
    void testNgRunsNothingToFindTests(String classpath) throws Exception {
        Transcript asked = HarnessRun.testng(classpath).discover("testng.NgTouchy").run();
        assertEquals(List.of("NgTouchy [testng] [NgTouchy.each(int)]", "discovered"), asked.all());
    }

    @EveryTestNg
    void groupsLeaveOutTests(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "NgGroups [testng] [NgGroups.slow()]",
                        "Missing failed" + " ClassNotFoundException: fixtures.testng.Missing",
                        "discovered"),
                discover(
                        HarnessRun.testng(classpath, "includeGroups", "slow"),
                        "testng.NgGroups",
                        "testng.Missing"));
    }

    @Test
    void filtersAndEnginesAreThoseOfARun() throws Exception {
        assertEquals(
                List.of("Tagged [junit-jupiter] [Tagged.slow()]", "Plain [] []", "discovered"),
                discover(
                        HarnessRun.platform("junitPlatform111", "includeTags", "slow"),
                        "jupiter.Tagged",
                        "jupiter.Plain"));
        String slow = "fixtures.legacy.FourPlain$Slow";
        assertEquals(
                List.of("FourPlain [junit4] [FourPlain.fails()]", "Three [] []", "discovered"),
                discover(
                        HarnessRun.of("junit4", "junit4", "includeCategories", slow),
                        "legacy.FourPlain",
                        "legacy.Three"));
        assertEquals(
                List.of("FourPlain [junit-vintage] [FourPlain.fails()]", "discovered"),
                discover(
                        HarnessRun.platform("junitPlatform111", "includeTags", slow),
                        "legacy.FourPlain"));
    }

    @Test
    void classesThatAreNoTestsHaveNone() throws Exception {
        assertEquals(
                List.of(
                        "BrokenClass [junit-jupiter] [BrokenClass.one()]",
                        "NgBase [] []",
                        "discovered"),
                discover(
                        HarnessRun.platform("junitPlatform114"),
                        "jupiter.BrokenClass",
                        "testng.NgBase"));
        assertEquals(List.of("discovered"), discover(HarnessRun.platform("junitPlatform114")));
    }
}
