package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.io.IOException;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A daemon that has loaded the engine takes a rebuilt plugin as well, and a cleaned user home. */
@Isolated("It takes away what other builds run.")
class RebuiltPluginTest {
    private static final Pattern DAEMON = Pattern.compile("daemon is (\\d+)");

    private static final String TELL_DAEMON =
            "tasks.named('runParallel') { doLast { println 'daemon is ' +"
                    + " ProcessHandle.current().pid() } }\n";

    @TempDir private Path dir;

    @OnEveryGradle
    void theNextBuildInTheSameDaemonUsesIt(String gradle) throws Exception {
        Path jar = dir.resolve("plugin.jar");
        Files.copy(pluginJar(), jar);
        GradleBuild build = GradleBuild.empty(gradle, dir.resolve("build-with-jar"));
        build.settings("rootProject.name = 'rebuilt'\n");
        build.file(
                "build.gradle",
                "buildscript { dependencies { classpath files('"
                        + jar
                        + "') } }\n"
                        + "apply plugin: 'java'\napply plugin: 'dev.testfleet'\n"
                        + GradleBuild.JUPITER
                        + TELL_DAEMON);
        build.jupiterTest("SomeTest", "@Test void good() {}");

        String first = daemon(build.succeeds("runParallel"));
        addToJar(jar, "rebuilt.txt");
        String second = daemon(build.succeeds("runParallel"));
        assertEquals(first, second, "the test needs one daemon for both builds");
    }

    @OnEveryGradle
    void programsThatAreGoneAreExtractedAgain(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, TELL_DAEMON);
        build.jupiterTest("SomeTest", "@Test void good() {}");
        String first = daemon(build.succeeds("runParallel"));
        for (String program : new String[] {"agent", "harnessJar"}) {
            Path file = Path.of(Description.request(build).text(program));
            Files.delete(file);
            assertEquals(first, daemon(build.succeeds("runParallel")), "the same daemon");
            assertTrue(Files.exists(file), program);
        }
    }

    /** The plugin's jar in the repository that all tests take it from. */
    static Path pluginJar() throws IOException {
        Path repository = Path.of(System.getProperty("testfleet.pluginRepository"));
        return GradleBuild.files(repository).stream()
                .map(java.io.File::toPath)
                .filter(file -> file.toString().endsWith(".jar"))
                .findFirst()
                .orElseThrow();
    }

    private static void addToJar(Path jar, String name) throws IOException {
        try (FileSystem zip =
                FileSystems.newFileSystem(URI.create("jar:" + jar.toUri()), Map.of())) {
            Files.writeString(zip.getPath(name), "1");
        }
    }

    private static String daemon(Outcome outcome) {
        Matcher matcher = DAEMON.matcher(outcome.output());
        outcome.matches(DAEMON.pattern());
        matcher.find();
        return matcher.group(1);
    }
}
