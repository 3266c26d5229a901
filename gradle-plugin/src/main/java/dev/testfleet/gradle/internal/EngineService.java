package dev.testfleet.gradle.internal;

import org.gradle.api.Project;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.logging.Logger;
import org.gradle.api.provider.Provider;
import org.gradle.api.services.BuildService;
import org.gradle.api.services.BuildServiceParameters;

import java.io.File;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The engine for the length of one build: loaded when a task first needs it, its threads ended with
 * the build.
 */
public abstract class EngineService
        implements BuildService<EngineService.Parameters>, AutoCloseable {
    /** Where the engine is extracted. */
    public interface Parameters extends BuildServiceParameters {
        /** {@code GRADLE_USER_HOME}. */
        DirectoryProperty getGradleUserHome();
    }

    /** The service of this build and of this class loader, which has an engine of its own. */
    public static Provider<EngineService> register(Project project) {
        int loader = System.identityHashCode(EngineService.class.getClassLoader());
        File home = project.getGradle().getGradleUserHomeDir();
        return project.getGradle()
                .getSharedServices()
                .registerIfAbsent(
                        "testfleetEngine-" + Integer.toHexString(loader),
                        EngineService.class,
                        spec -> spec.getParameters().getGradleUserHome().set(home));
    }

    /** The agent's program file. */
    public File agent() {
        return installation().agent();
    }

    /** The harness jar. */
    public File harnessJar() {
        return installation().harnessJar();
    }

    /** Version of the engine. */
    public String version() {
        installation();
        return Engine.version();
    }

    /**
     * Runs a command to its end and shows what it says. Local workers get the environment of the
     * Gradle call, which is handed over in memory and written nowhere.
     *
     * @throws org.gradle.api.tasks.VerificationException when tests failed
     * @throws EngineException when anything else failed
     */
    public void run(Map<String, ?> command, Map<String, ?> request, Logger logger) {
        installation();
        byte[] open = Json.bytes(openRequest(command, request, System.getenv()));
        new EngineCommand(EngineCalls.NATIVE, logger).run(open);
    }

    /**
     * The {@code OpenRequest} document. The plugin shows what the engine says to people, so it does
     * not ask for an event of each test.
     */
    static Map<String, Object> openRequest(
            Map<String, ?> command, Map<String, ?> request, Map<String, String> environment) {
        Map<String, Object> open = new LinkedHashMap<>();
        open.put("command", command);
        open.put("request", request);
        open.put("environment", environment);
        open.put("runEvents", false);
        return open;
    }

    @Override
    public void close() {
        if (Installation.isLoaded()) {
            Engine.shutdown();
        }
    }

    private Installation installation() {
        return Installation.load(getParameters().getGradleUserHome().get().getAsFile());
    }
}
