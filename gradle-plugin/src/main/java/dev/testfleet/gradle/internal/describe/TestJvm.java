package dev.testfleet.gradle.internal.describe;

import dev.testfleet.gradle.internal.Failures;

import org.gradle.api.tasks.testing.Test;
import org.gradle.jvm.toolchain.JavaInstallationMetadata;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** The JVM of a Test task: that of its launcher, of its executable, or else Gradle's own. */
final class TestJvm {
    private final Path home;
    private final int version;

    private TestJvm(Path home, int version) {
        this.home = home;
        this.version = version;
    }

    /** Its home. */
    String home() {
        return home.toString();
    }

    /** Its feature release: 8, 11, 17. */
    int version() {
        return version;
    }

    /**
     * The JVM that {@code test} says.
     *
     * @throws dev.testfleet.gradle.internal.EngineException when its executable belongs to no JVM
     */
    static TestJvm of(Test test) {
        // Gradle 7 has no launcher where the build chose no toolchain.
        if (test.getJavaLauncher().isPresent()) {
            JavaInstallationMetadata metadata = test.getJavaLauncher().get().getMetadata();
            return new TestJvm(
                    metadata.getInstallationPath().getAsFile().toPath(),
                    metadata.getLanguageVersion().asInt());
        }
        Path own = Path.of(System.getProperty("java.home"));
        String executable = test.getExecutable();
        if (executable == null || Path.of(executable).startsWith(own)) {
            return new TestJvm(own, Runtime.version().feature());
        }
        return ofExecutable(test.getPath(), executable);
    }

    private static TestJvm ofExecutable(String testTask, String executable) {
        try {
            Path home = Path.of(executable).toRealPath().resolve("../..").normalize();
            Properties release = new Properties();
            try (Reader reader = Files.newBufferedReader(home.resolve("release"))) {
                release.load(reader);
            }
            String version = release.getProperty("JAVA_VERSION", "").replace("\"", "");
            return new TestJvm(home, featureOf(version));
        } catch (IOException | IllegalArgumentException e) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to find out which JVM the Test task " + testTask + " runs on",
                    "its executable '" + executable + "' does not lie in a JVM's home: " + e,
                    "choose a toolchain: javaLauncher = javaToolchains.launcherFor {"
                            + " languageVersion = JavaLanguageVersion.of(17) }");
        }
    }

    /** 8 for {@code 1.8.0_392}, 17 for {@code 17.0.9}. */
    static int featureOf(String version) {
        String modern = version.startsWith("1.") ? version.substring(2) : version;
        return Integer.parseInt(modern.split("[.\\-_+]")[0]);
    }
}
