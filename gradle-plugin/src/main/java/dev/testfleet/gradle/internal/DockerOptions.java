package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.DockerSpec;

import org.gradle.api.provider.Property;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How workers in containers are started: defaults, and the form in the request. */
public final class DockerOptions {
    private static final List<String> PULLS = List.of("missing", "always", "never");

    private DockerOptions() {}

    /** What holds unless the build says something else. */
    public static void setConventions(DockerSpec docker) {
        docker.getPull().convention("missing");
        docker.getReadOnlyRoot().convention(false);
        docker.getKeep().convention(false);
        Services.setConventions(docker.getServices());
    }

    /** The options as the request has them. */
    public static Map<String, Object> describe(DockerSpec docker) {
        Map<String, Object> described = new LinkedHashMap<>();
        put(described, "host", docker.getHost().getOrNull());
        put(described, "certPath", docker.getCertPath().getAsFile().getOrNull());
        put(described, "cpus", docker.getCpus().map(Number::doubleValue).getOrNull());
        putSize(described, "memoryBytes", "docker.memory", docker.getMemory());
        put(described, "network", docker.getNetwork().getOrNull());
        described.put("readOnlyRoot", docker.getReadOnlyRoot().get());
        putSize(described, "tmpfsBytes", "docker.tmpfsSize", docker.getTmpfsSize());
        put(described, "user", docker.getUser().getOrNull());
        String example = "testfleet { docker { pull = 'never' } }";
        described.put("pull", Choices.oneOf("docker.pull", docker.getPull().get(), PULLS, example));
        described.put("keep", docker.getKeep().get());
        described.put("services", Services.describe("docker", docker.getServices()));
        return described;
    }

    private static void put(Map<String, Object> described, String name, Object value) {
        if (value != null) {
            described.put(name, value);
        }
    }

    private static void putSize(
            Map<String, Object> described, String name, String option, Property<String> size) {
        if (size.isPresent()) {
            described.put(name, Sizes.bytes(option, size.get(), "'512m' or '2g'"));
        }
    }
}
