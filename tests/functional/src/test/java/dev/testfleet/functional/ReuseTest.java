package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Tests that passed before, with equal inputs, do not run again; all others do. */
class ReuseTest {
    private static final String COLUMNS = "text/src/main/java/com/acme/text/Columns.java";

    @TempDir private Path dir;

    @Test
    void onlyWhatReachesAChangeRuns() throws Exception {
        GradleBuild build = GradleBuild.ofSample("ten-modules", Gradles.NEWEST, dir);
        build.succeeds("runParallel", "--workers", "2");
        assertEquals(20, ran(build).size(), "all classes of a build that never ran");
        build.succeeds("runParallel", "--workers", "2").says("Nothing to run: 34 tests");
        assertEquals(Set.of(), ran(build));
        assertEquals(34, tests(build, "reused"));

        change(build, COLUMNS, "return left + ", "return left.concat(\"\") + ");
        build.succeeds("runParallel", "--workers", "2");
        assertEquals(Set.of("ColumnsTest", "InvoiceTest", "CheckoutTest"), ran(build));
        change(build, COLUMNS, "/** Lines", "/** Some lines");
        build.succeeds("runParallel", "--workers", "2");
        assertEquals(Set.of(), ran(build), "a comment is in no class file");

        // Back to what passed before.
        change(build, COLUMNS, "return left.concat(\"\") + ", "return left + ");
        build.succeeds("runParallel", "--workers", "2").says("Nothing to run");
        build.file("tax/src/main/resources/com/acme/tax/vat.csv", "DE,19\nFR,20\nDK,25\nSE,25\n");
        build.succeeds("runParallel", "--workers", "2");
        assertEquals(
                Set.of(
                        "VatTest",
                        "ExemptionTest",
                        "GrossPriceTest",
                        "DiscountTest",
                        "OrderTest",
                        "OrderTotalTest",
                        "InvoiceTest",
                        "InvoiceNumberTest",
                        "CheckoutTest",
                        "GreetingTest"),
                ran(build),
                "a resource counts for every test that has it on its classpath");
        build.succeeds("runParallel", "--workers", "2", "--rerun");
        assertEquals(20, ran(build).size());
    }

    @Test
    void aCloneElsewhereReusesWhatASharedStoreHolds() throws Exception {
        Path first = dir.resolve("first");
        Path second = dir.resolve("second/clone");
        Files.createDirectories(second);
        GradleBuild here = GradleBuild.ofSample("ten-modules", Gradles.NEWEST, first);
        here.succeeds("runParallel");
        GradleBuild there = GradleBuild.ofSample("ten-modules", Gradles.NEWEST, second);
        String store = ".gradle/testfleet/passed.json";
        there.file(store, here.read(store));
        there.succeeds("runParallel").says("Nothing to run: 34 tests");
        there.file(store, here.read(store).substring(100));
        there.succeeds("runParallel")
                .says("failed to read the store of passed tests", "Planned 34 tests");
    }

    @Test
    void whatDidNotPassRunsAgain() throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(Gradles.NEWEST, dir, "");
        build.jupiterTest("GoodTest", "@Test void good() {}");
        build.jupiterTest("BadTest", "@Test void bad() { fail(); }\n@Test void good() {}");
        build.jupiterTest("SkippedTest", "@Test void good() {}\n@Test @Disabled void off() {}");
        build.jupiterTest(
                "UnsureTest", "@Test void unsure() { Assumptions.assumeTrue(false, \"why\"); }");
        build.fails("runParallel").says("BadTest > bad()");
        build.fails("runParallel").says("BadTest > bad()");
        assertEquals(Set.of("BadTest", "UnsureTest"), ran(build));
        assertEquals(2, tests(build, "skipped"), "what was skipped is not shown as passed");
    }

    @Test
    void whatTestsCanNoticeCounts() throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(Gradles.NEWEST, dir, "");
        build.jupiterTest("OneTest", "@Test void good() {}");
        build.jupiterTest("TwoTest", "@Test void good() {}");
        build.file("data/a.txt", "1");
        build.succeeds("runParallel");
        for (String setting :
                List.of(
                        "systemProperty 'a', 'b'",
                        "environment 'A', 'b'",
                        "maxHeapSize = '300m'",
                        "inputs.dir('data')")) {
            build.append("build.gradle", "tasks.named('test') { " + setting + " }\n");
            build.succeeds("runParallel");
            assertEquals(Set.of("OneTest", "TwoTest"), ran(build), setting);
            build.succeeds("runParallel").says("Nothing to run");
        }
        build.file("data/a.txt", "2").succeeds("runParallel");
        assertEquals(Set.of("OneTest", "TwoTest"), ran(build), "another content of an input");
        build.succeeds("runWorker", "-Pworker=1");
        build.jupiterTest("TwoTest", "@Test void better() {}").succeeds("runParallel");
        assertEquals(Set.of("TwoTest"), ran(build));
        build.append("build.gradle", "testfleet { reuse = 'classpath' }\n");
        build.succeeds("runParallel");
        build.jupiterTest("TwoTest", "@Test void best() {}").succeeds("runParallel");
        assertEquals(Set.of("OneTest", "TwoTest"), ran(build), "the whole classpath counts");
        build.append("build.gradle", "testfleet { reuse = 'off' }\n");
        build.succeeds("runParallel");
        assertEquals(Set.of("OneTest", "TwoTest"), ran(build));
    }

    private static void change(GradleBuild build, String path, String from, String to)
            throws IOException {
        String text = build.read(path);
        assertTrue(text.contains(from), path);
        build.file(path, text.replace(from, to));
    }

    /** Simple names of the classes of which a test ran in the last run. */
    private static Set<String> ran(GradleBuild build) throws IOException {
        Set<String> classes = new TreeSet<>();
        for (Object entry : (List<?>) summary(build).get("tests")) {
            Map<?, ?> test = (Map<?, ?>) entry;
            String reason = String.valueOf(test.get("reason"));
            if (!"reused".equals(test.get("verdict")) && !reason.startsWith("skipped in run")) {
                String name = (String) test.get("class");
                classes.add(name.substring(name.lastIndexOf('.') + 1));
            }
        }
        return classes;
    }

    private static int tests(GradleBuild build, String verdict) throws IOException {
        Object count = ((Map<?, ?>) summary(build).get("counts")).get(verdict);
        return ((Number) count).intValue();
    }

    private static Map<?, ?> summary(GradleBuild build) throws IOException {
        return (Map<?, ?>)
                new JsonSlurper().parseText(build.read("build/reports/testfleet/summary.json"));
    }
}
