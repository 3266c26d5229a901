package dev.testfleet.functional;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The Gradle versions that the plugin is tested on. */
final class Gradles {
    static final String OLDEST = "7.6.4";
    static final String NEWEST = "8.8";

    private static final Map<String, Path> HOMES = new ConcurrentHashMap<>();

    private Gradles() {}

    /** The Gradle user home that all builds of the tests share. */
    static String userHome() {
        return System.getProperty("testfleet.gradleUserHome");
    }

    /** Versions for tests of what the engine does. */
    static List<String> forTheEngine() {
        return Boolean.getBoolean("testfleet.everyGradle")
                ? List.of(OLDEST, NEWEST)
                : List.of(NEWEST);
    }

    /** The home of a Gradle version, installed when it is first asked for. */
    static Path home(String version) {
        return HOMES.computeIfAbsent(version, Gradles::install);
    }

    private static Path install(String version) {
        try {
            ProcessBuilder builder =
                    new ProcessBuilder(
                                    "sh",
                                    System.getProperty("testfleet.ensureGradle"),
                                    "--print-home",
                                    version)
                            .redirectError(ProcessBuilder.Redirect.INHERIT);
            builder.environment().put("GRADLE_USER_HOME", userHome());
            builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
            Process process = builder.start();
            byte[] home = process.getInputStream().readAllBytes();
            if (process.waitFor() != 0) {
                throw new IllegalStateException("Gradle " + version + " cannot be installed");
            }
            return Path.of(new String(home, StandardCharsets.UTF_8).trim());
        } catch (IOException e) {
            throw new IllegalStateException("Gradle " + version + " cannot be installed", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }
}
