package dev.testfleet.gradle.internal;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The engine, loaded into this JVM, and the programs that workers start, extracted from the
 * plugin's jar.
 */
final class Installation {
    private static final String LIBRARY = System.mapLibraryName("testfleet");
    private static final String AGENT = "testfleet-agent";
    private static final String HARNESS = "harness.jar";

    // One engine per class loader, as the JVM ties native libraries to class loaders.
    private static Installation current;

    private final File agent;
    private final File harnessJar;

    private Installation(Path agent, Path harnessJar) {
        this.agent = agent.toFile();
        this.harnessJar = harnessJar.toFile();
    }

    /** The agent's program file. */
    File agent() {
        return agent;
    }

    /** The harness jar. */
    File harnessJar() {
        return harnessJar;
    }

    /** Whether this class loader has the engine. */
    static synchronized boolean isLoaded() {
        return current != null;
    }

    /**
     * Loads the engine if that has not been done yet. The programs are extracted again when they
     * are gone: somebody may have cleaned the Gradle user home while the daemon lived.
     *
     * @throws EngineException when the plugin has no engine for this platform, or it cannot be
     *     loaded
     */
    static synchronized Installation load(File gradleUserHome) {
        ClassLoader loader = Installation.class.getClassLoader();
        String platform = Platform.current();
        ResourceStore store = new ResourceStore(gradleUserHome.toPath(), loader);
        String folder = requirePlatform(store, platform);
        try {
            if (current == null) {
                loadCopy(store.extract(folder + LIBRARY));
                current = extractPrograms(store, folder);
                store.removeUnused();
            } else if (!store.use(current.agent.toPath(), current.harnessJar.toPath())) {
                current = extractPrograms(store, folder);
            }
            return current;
        } catch (IOException e) {
            throw Failures.exception(
                    "io",
                    "failed to extract Testfleet's engine for " + platform,
                    e.toString(),
                    "make " + gradleUserHome + " writable, with some 50 MB of free space");
        } catch (UnsatisfiedLinkError e) {
            throw Failures.exception(
                    "missing-platform",
                    "failed to load Testfleet's engine for " + platform,
                    e.getMessage(),
                    "the engine needs glibc, and a Gradle user home on a file system without"
                            + " noexec");
        }
    }

    private static Installation extractPrograms(ResourceStore store, String folder)
            throws IOException {
        return new Installation(store.extract(folder + AGENT), store.extract(HARNESS));
    }

    /** The resource folder of a platform, with a slash at its end. */
    static String requirePlatform(ResourceStore store, String platform) {
        String folder = "native/" + platform + "/";
        if (!store.has(folder + LIBRARY)) {
            throw Failures.exception(
                    "missing-platform",
                    "failed to start Testfleet on " + platform,
                    "this build of the plugin has no engine for it",
                    "run the build on Linux (x86_64), or build the plugin from source on this"
                            + " platform");
        }
        return folder;
    }

    // The same file, or a link to it, would be refused or shared when a rebuilt plugin is loaded by
    // a new class
    // loader of a living daemon. The mapping stays when the name is gone.
    private static void loadCopy(Path library) throws IOException {
        Path copy = Files.createTempFile(library.getParent(), "loading-", ".so");
        try {
            Files.write(copy, Files.readAllBytes(library));
            Engine.load(copy.toString());
        } finally {
            Files.deleteIfExists(copy);
        }
    }
}
