package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;

/** What the frameworks find, and that it is what runs. */
class DiscoverTest {
    private static List<String> platform(String classpath, String fixture) throws Exception {
        return FoundRuns.check(() -> HarnessRun.of(classpath, "junit-platform"), fixture);
    }

    private static List<String> discover(HarnessRun run, String... fixtures) throws Exception {
        return run.discover(fixtures).run().results();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"junitPlatform13", "junitPlatform111", "junitPlatform114", "junitPlatform6"})
    void jupiterInEveryVersion(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "Plain.aborts()",
                        "Plain.disabled()",
                        "Plain.fails()",
                        "Plain.passes()",
                        "Plain.takes(org.junit.jupiter.api.TestInfo)"),
                platform(classpath, "jupiter.Plain"));
        assertEquals(
                List.of(
                        "InheritsNested$Inner$Deep.deep()",
                        "InheritsNested$Inner.inner()",
                        "InheritsNested.inherited()"),
                platform(classpath, "jupiter.InheritsNested"));
        assertEquals(
                List.of("DisabledClass$Inner.two()", "DisabledClass.one()"),
                platform(classpath, "jupiter.DisabledClass"));
        assertEquals(
                List.of("Dynamic.empty()", "Dynamic.tree()"),
                platform(classpath, "jupiter.Dynamic"));
        assertEquals(
                List.of(
                        "Templates.array(java.lang.String)",
                        "Templates.odd(int)",
                        "Templates.twice()",
                        "Templates.unprovided(java.lang.String[])"),
                platform(classpath, "jupiter.Templates"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"junitPlatform114", "junitPlatform6"})
    void classTemplates(String classpath) throws Exception {
        assertEquals(
                List.of("ClassTemplate.each(java.lang.String)", "ClassTemplate.one()"),
                platform(classpath, "jupiter.ClassTemplate"));
    }

    @ParameterizedTest
    @CsvSource({
        "junitPlatform13, junit-platform",
        "junitPlatform111, junit-platform",
        "junitPlatform6, junit-platform",
        "junit4, junit4",
        "junit412, junit4"
    })
    void legacyTests(String classpath, String framework) throws Exception {
        for (String fixture :
                List.of("FourInherits", "FourIgnored", "FourParameterized", "FourPlain")) {
            FoundRuns.check(() -> HarnessRun.of(classpath, framework), "legacy." + fixture);
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
        assertEquals(
                texts,
                FoundRuns.check(() -> HarnessRun.of(classpath, framework), "legacy.FourTexts"));
    }

    @ParameterizedTest
    @CsvSource({
        "junitPlatform13, junit-platform",
        "junitPlatform111, junit-platform",
        "junitPlatform6, junit-platform",
        "junit4, junit4",
        "junit412, junit4"
    })
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
                expected.stream().sorted().toList(),
                FoundRuns.check(() -> HarnessRun.of(classpath, framework), "legacy.FourSuite"));
        assertEquals(
                List.of("FourEncloses$First.one()", "FourEncloses$Second.one()"),
                FoundRuns.check(() -> HarnessRun.of(classpath, framework), "legacy.FourEncloses"));
    }

    @ParameterizedTest
    @CsvSource({
        "junitPlatform13, junit-platform",
        "junitPlatform111, junit-platform",
        "junitPlatform6, junit-platform",
        "junit4, junit4",
        "junit412, junit4"
    })
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

    @ParameterizedTest
    @ValueSource(strings = {"testng6", "testng7"})
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
                FoundRuns.check(() -> HarnessRun.of(classpath, "testng"), "testng.NgPlain"));
        assertEquals(
                List.of(
                        "NgFactory.fixtures.testng.NgMade.made()",
                        "NgFactory.fixtures.testng.NgMade.otherMade()",
                        "NgFactory.own()"),
                FoundRuns.check(() -> HarnessRun.of(classpath, "testng"), "testng.NgFactory"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"testng6", "testng7"})
    void testNgRunsNothingToFindTests(String classpath) throws Exception {
        Transcript asked = HarnessRun.of(classpath, "testng").discover("testng.NgTouchy").run();
        assertEquals(List.of("NgTouchy [testng] [NgTouchy.each(int)]", "discovered"), asked.all());
    }

    @ParameterizedTest
    @ValueSource(strings = {"testng6", "testng7"})
    void groupsLeaveOutTests(String classpath) throws Exception {
        assertEquals(
                List.of(
                        "NgGroups [testng] [NgGroups.slow()]",
                        "Missing failed" + " ClassNotFoundException: fixtures.testng.Missing",
                        "discovered"),
                discover(
                        HarnessRun.of(classpath, "testng", "includeGroups", "slow"),
                        "testng.NgGroups",
                        "testng.Missing"));
    }

    @Test
    void filtersAndEnginesAreThoseOfARun() throws Exception {
        assertEquals(
                List.of("Tagged [junit-jupiter] [Tagged.slow()]", "Plain [] []", "discovered"),
                discover(
                        HarnessRun.of("junitPlatform111", "junit-platform", "includeTags", "slow"),
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
                        HarnessRun.of("junitPlatform111", "junit-platform", "includeTags", slow),
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
                        HarnessRun.of("junitPlatform114", "junit-platform"),
                        "jupiter.BrokenClass",
                        "testng.NgBase"));
        assertEquals(
                List.of("discovered"),
                discover(HarnessRun.of("junitPlatform114", "junit-platform")));
    }
}
