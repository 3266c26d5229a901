package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.DockerSpec;
import dev.testfleet.gradle.ServiceSpec;

import org.gradle.api.provider.Property;

import java.time.Duration;
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
        docker.getServices()
                .all(service -> service.getReadyWithin().convention(Duration.ofMinutes(1)));
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
        Map<String, Object> services = new LinkedHashMap<>();
        docker.getServices().forEach(it -> services.put(it.getName(), describe(it)));
        described.put("services", services);
        return described;
    }

    private static Map<String, Object> describe(ServiceSpec service) {
        String name = "docker.services." + service.getName();
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("image", service.getImage().getOrElse(""));
        described.put("environment", service.getEnvironment().get());
        described.put("command", service.getCommand().get());
        put(described, "port", service.getPort().getOrNull());
        described.put("readiness", readiness(name, service));
        described.put("readyWithinMs", service.getReadyWithin().get().toMillis());
        putSize(described, "memoryBytes", name + ".memory", service.getMemory());
        described.put("tmpfs", service.getTmpfs().get());
        return described;
    }

    private static Map<String, Object> readiness(String name, ServiceSpec service) {
        Map<String, Object> readiness = new LinkedHashMap<>();
        List<String> command = service.getReadyCommand().get();
        if (!command.isEmpty()) {
            readiness.put("type", "command");
            readiness.put("command", command);
        }
        if (service.getReadyLog().isPresent()) {
            requireOne(name, readiness);
            readiness.put("type", "log");
            readiness.put("text", service.getReadyLog().get());
        }
        if (service.getReadyWhenHealthy().getOrElse(false)) {
            requireOne(name, readiness);
            readiness.put("type", "healthy");
        }
        readiness.putIfAbsent("type", "port");
        return readiness;
    }

    private static void requireOne(String name, Map<String, Object> readiness) {
        if (!readiness.isEmpty()) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to understand when " + name + " is ready",
                    "it has more than one of readyCommand, readyLog and readyWhenHealthy",
                    "for example: readyCommand = ['pg_isready']");
        }
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
