package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** {@code testfleet cache restore} on a machine whose Gradle has downloaded nothing yet. */
class CacheRestoreTest {
    @TempDir Path dir;

    @OnNewestGradle
    void aFreshMachineDownloadsNothingThatTheImageHas(String gradle) throws Exception {
        // What the repository has is what was downloaded here.
        GradleBuild.ofSample("quickstart", gradle, dir.resolve("sample")).succeeds("testClasses");
        try (MavenServer repository = new MavenServer()) {
            GradleBuild first = build(gradle, "first", repository);
            first.succeeds("image", "--workers", "2").says("Image localhost/testfleet/quickstart:");
            long without = repository.bytes();
            assertTrue(repository.fetched().size() > 20, "all is downloaded");
            assertTrue(without > 1_000_000, without + " bytes");

            Path cache = dir.resolve("read only");
            assertEquals(
                    "export GRADLE_RO_DEP_CACHE='" + cache + "'\n",
                    restore(first, "last", "--to", cache.toString()));

            GradleBuild fresh =
                    build(gradle, "fresh", repository)
                            .environment("GRADLE_RO_DEP_CACHE", cache.toString());
            fresh.succeeds("runParallel", "--workers", "2").says("11 passed");
            long with = repository.bytes();
            assertEquals(List.of(), repository.fetched());
            // A checksum of each file.
            assertTrue(with < without / 100, with + " instead of " + without + " bytes");
        }
    }

    @OnNewestGradle
    void toolsAreInTheImageAndWhatTheyLackIsLeftOut(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofSample("quickstart", gradle, dir.resolve("tools"))
                        .append(
                                "build.gradle",
                                "\nconfigurations { linter; broken }\n"
                                        + "dependencies {\n"
                                        + "    linter 'org.opentest4j:opentest4j:1.2.0'\n"
                                        + "    broken 'nowhere:tool:1'\n"
                                        + "}\n"
                                        + "testfleet { image { dependencyCache = true } }\n");
        build.succeeds("image", "--workers", "2");
        Path document = build.dir().resolve("build/testfleet-module/dependencies.json");
        assertTrue(Files.readString(document).contains("org.opentest4j:opentest4j:1.2.0"));
    }

    private GradleBuild build(String gradle, String name, MavenServer repository)
            throws IOException {
        GradleBuild build =
                GradleBuild.ofSample("quickstart", gradle, dir.resolve(name))
                        .environment("GRADLE_USER_HOME", dir.resolve(name + "-home").toString())
                        // Gradle takes files from there as well, when their checksums fit.
                        .always("-Dmaven.repo.local=" + dir.resolve("no-m2"))
                        // One that lives on would write to its home while that is removed.
                        .always("--no-daemon");
        String version = System.getProperty("testfleet.version");
        build.file(
                "settings.gradle",
                "pluginManagement {\n    plugins { id 'dev.testfleet' version '"
                        + version
                        + "' }\n    repositories { "
                        + repository.repository()
                        + " }\n}\ndependencyResolutionManagement {\n    repositories { "
                        + repository.repository()
                        + " }\n}\nrootProject.name = 'quickstart'\n");
        return build.append("build.gradle", "\ntestfleet { image { dependencyCache = true } }\n");
    }

    private static String restore(GradleBuild build, String... arguments) throws Exception {
        List<String> command = new java.util.ArrayList<>();
        command.add(System.getProperty("testfleet.command"));
        command.addAll(List.of("cache", "restore"));
        command.addAll(List.of(arguments));
        Process process =
                new ProcessBuilder(command)
                        .directory(build.dir().toFile())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }
}
