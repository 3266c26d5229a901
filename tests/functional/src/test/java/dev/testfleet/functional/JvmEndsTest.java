package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Tests that end or block their JVM, or fill memory and output: they cost themselves alone. */
class JvmEndsTest {
    @TempDir private Path dir;

    @Test
    void testsThatEndTheirJvmCostThemselvesAlone() throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        Gradles.NEWEST,
                        dir,
                        "testfleet { workers = 2; collect = ['out/**/*.txt'] }\n"
                                + "tasks.named('test') { maxHeapSize = '96m' }\n");
        endings(build, "ExitTest", "System.exit(7);");
        endings(build, "HaltTest", "Runtime.getRuntime().halt(9);");
        endings(
                build,
                "MemoryTest",
                "java.util.List<byte[]> all = new java.util.ArrayList<>();"
                        + " while (true) { all.add(new byte[1 << 20]); }");
        endings(
                build,
                "CrashTest",
                "java.lang.reflect.Field f ="
                        + " sun.misc.Unsafe.class.getDeclaredField(\"theUnsafe\");"
                        + " f.setAccessible(true);"
                        + " ((sun.misc.Unsafe) f.get(null)).putAddress(0, 0);");
        build.jupiterTest(
                "PrintTest",
                "@Test void prints() { byte[] line = new byte[1 << 20];"
                        + " java.util.Arrays.fill(line, (byte) 'x'); line[line.length - 1] = 10;"
                        + " for (int i = 0; i < 300; i++) {"
                        + " System.out.write(line, 0, line.length); } }\n"
                        + "@Test void writes() throws Exception {"
                        + " java.nio.file.Files.createDirectories("
                        + "java.nio.file.Path.of(\"out/deep\"));"
                        + " java.nio.file.Files.writeString("
                        + "java.nio.file.Path.of(\"out/deep/shot.txt\"), \"seen\"); }");

        build.fails("runParallel");
        Map<String, String> results = results(build);
        for (String name : List.of("ExitTest", "HaltTest", "MemoryTest", "CrashTest")) {
            assertEquals("passed", results.get(name + " > a()"), results::toString);
            assertEquals("error", results.get(name + " > ends()"), results::toString);
            assertEquals("passed", results.get(name + " > z()"), results::toString);
        }
        assertEquals("passed", results.get("PrintTest > prints()"), results::toString);
        assertEquals("passed", results.get("PrintTest > writes()"), results::toString);
        assertEquals(14, results.size(), results::toString);
        assertContains(
                xml(build, "ExitTest"), "exit code 7: System.exit was called at ExitTest.ends(");
        assertContains(xml(build, "HaltTest"), "exit code 9");
        assertContains(xml(build, "MemoryTest"), "java.lang.OutOfMemoryError: Java heap space");
        assertContains(xml(build, "CrashTest"), "it crashed: SIGSEGV");

        String page = build.read("build/reports/testfleet/index.html");
        assertContains(page, "at ExitTest.ends(ExitTest.java");
        assertContains(page, "A fatal error has been detected by the Java Runtime Environment");
        File crash = only(build, "files/crash/test", "hs_err_pid");
        assertContains(Files.readString(crash.toPath()), "CrashTest.ends");
        assertContains(page, "/files/crash/test/" + crash.getName());
        // The other worker of this machine sees the file too.
        File shot = only(build, "files/collected/test/worker-", "shot.txt");
        assertEquals("seen", Files.readString(shot.toPath()));
        File whole = only(build, "files/output/test", "PrintTest.prints");
        assertEquals(300L << 20, whole.length());
        String printed = xml(build, "PrintTest");
        assertContains(printed, "[[ATTACHMENT|" + whole.getPath() + "]]");
        assertContains(printed, "bytes left out here; the whole is in a file of the run]");
        assertTrue(printed.length() < 3 << 20, "its output is bounded: " + printed.length());
        assertEquals(List.of(crash), files(build.dir(), "hs_err"), "nothing else is left");
    }

    @Test
    void aDeadlockIsToldByThreadDumps() throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        Gradles.NEWEST,
                        dir,
                        "testfleet { workers = 1; timeouts { test ="
                                + " java.time.Duration.ofSeconds(6) } }\n"
                                + "tasks.named('test') { timeout ="
                                + " java.time.Duration.ofSeconds(60) }\n");
        build.jupiterTest(
                "LockTest",
                "static final Object ONE = new Object(), TWO = new Object();\n"
                    + "static void both(Object first, Object second) throws Exception {"
                    + " synchronized (first) { Thread.sleep(500); synchronized (second) {} } }\n"
                    + "@Test void locks() throws Exception {\n"
                    + "  new Thread(() -> { try { both(ONE, TWO); } catch (Exception e) {} },"
                    + " \"other\").start();\n"
                    + "  both(TWO, ONE);\n"
                    + "}\n"
                    + "@Test void other() {}");
        build.fails("runParallel");
        assertEquals(
                Map.of("LockTest > locks()", "error", "LockTest > other()", "passed"),
                results(build));
        assertContains(
                xml(build, "LockTest").replace("&gt;", ">"),
                "LockTest > locks() took longer than the limit of 6 s for a test; the JVM found a"
                        + " deadlock");
        String page = build.read("build/reports/testfleet/index.html");
        int dumps = page.split("Full thread dump", -1).length - 1;
        assertTrue(dumps >= 3, dumps + " dumps: two with the JVM's end, the first with the test");
        assertContains(page, "LockTest.both(LockTest.java");
    }

    @OnEveryGradle
    void coverageOfAllWorkersIsWhatTheBuildsOwnReportsRead(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "apply plugin: 'jacoco'\n"
                                + "jacoco { toolVersion = '0.8.12' }\n"
                                + "testfleet { workers = 2 }\n"
                                + "tasks.named('test') { forkEvery = 1 }\n"
                                + "jacocoTestReport { reports { xml.required = true } }\n"
                                + "jacocoTestCoverageVerification { violationRules { rule {"
                                + " limit { counter = 'LINE'; minimum = 0.75 } } } }\n");
        build.file(
                "src/main/java/Sums.java",
                "public class Sums {\n"
                        + "    public static int one() {\n        return 1;\n    }\n\n"
                        + "    public static int two() {\n        return 2;\n    }\n\n"
                        + "    public static int never() {\n        return 3;\n    }\n\n"
                        + "    public static int four() {\n        return 4;\n    }\n}\n");
        build.jupiterTest("OneTest", "@Test void one() { assertEquals(1, Sums.one()); }");
        build.jupiterTest("TwoTest", "@Test void two() { assertEquals(2, Sums.two()); }");
        build.jupiterTest("FourTest", "@Test void four() { assertEquals(4, Sums.four()); }");
        String[] tasks = {"runParallel", "jacocoTestReport", "jacocoTestCoverageVerification"};
        // Line 1, the implicit constructor, counts too.
        build.fails(tasks).says("lines covered ratio is 0.60, but expected minimum is 0.75");
        String build60 = build.read("build.gradle").replace("minimum = 0.75", "minimum = 0.60");
        build.file("build.gradle", build60);
        build.succeeds(tasks).saysNot("is not complete");
        String report = build.read("build/reports/jacoco/test/jacocoTestReport.xml");
        for (int covered : new int[] {3, 7, 15}) {
            assertContains(report, "<line nr=\"" + covered + "\" mi=\"0\" ci=\"2\"");
        }
        assertContains(report, "<line nr=\"11\" mi=\"2\" ci=\"0\"");
        assertEquals(3, files(build.path("build/testfleet/runs"), ".exec").size() / 2);
    }

    @Test
    void coverageFromBeforeAJvmWasKilledIsKept() throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        Gradles.NEWEST,
                        dir,
                        "apply plugin: 'jacoco'\n"
                                + "jacoco { toolVersion = '0.8.12' }\n"
                                + "testfleet { workers = 1 }\n"
                                + "jacocoTestReport { reports { xml.required = true } }\n");
        build.file(
                "src/main/java/Sums.java",
                "public class Sums {\n"
                        + "    public static int one() {\n        return 1;\n    }\n\n"
                        + "    public static int two() {\n        return 2;\n    }\n}\n");
        // Whichever runs first takes long enough for JaCoCo to be asked at its end.
        build.file(
                "src/test/java/Turn.java",
                "class Turn {\n    static boolean taken;\n\n"
                        + "    static void take() throws Exception {\n"
                        + "        if (taken) Runtime.getRuntime().halt(3);\n"
                        + "        taken = true;\n"
                        + "        Thread.sleep(2500);\n    }\n}\n");
        String take = " throws Exception { assertEquals(%d, Sums.%s()); Turn.take(); }";
        build.jupiterTest("OneTest", "@Test void one()" + String.format(take, 1, "one"));
        build.jupiterTest("TwoTest", "@Test void two()" + String.format(take, 2, "two"));
        build.fails("runParallel").says("is not complete: 1 of its 1 test JVMs");
        build.succeeds("jacocoTestReport");
        String report = build.read("build/reports/jacoco/test/jacocoTestReport.xml");
        assertEquals(3, report.split("mi=\"0\" ci=\"2\"|mi=\"2\" ci=\"0\"", -1).length, report);
        assertEquals(2, report.split("mi=\"0\" ci=\"2\"", -1).length, report);
    }

    private static void endings(GradleBuild build, String name, String end) throws IOException {
        build.jupiterTest(
                name,
                "@Test void a() {}\n"
                        + "@Test void ends() throws Exception { "
                        + end
                        + " }\n"
                        + "@Test void z() {}");
    }

    private static void assertContains(String text, String part) {
        assertTrue(text.contains(part), () -> "no '" + part + "' in:\n" + text);
    }

    private static Map<String, String> results(GradleBuild build) throws IOException {
        return JUnitXml.outcomes(build.path("build/test-results/runParallel"));
    }

    private static String xml(GradleBuild build, String name) throws IOException {
        return build.read("build/test-results/runParallel/TEST-" + name + ".xml");
    }

    private static File only(GradleBuild build, String folder, String part) throws IOException {
        List<File> found =
                files(build.path("build/testfleet/runs"), part).stream()
                        .filter(file -> file.getPath().contains(folder))
                        .toList();
        assertEquals(1, found.size(), found::toString);
        return found.get(0);
    }

    private static List<File> files(Path dir, String part) throws IOException {
        return GradleBuild.files(dir).stream()
                .filter(file -> file.getName().contains(part))
                .toList();
    }
}
