package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.ServiceSpec;

import org.gradle.api.NamedDomainObjectContainer;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Containers beside workers, whatever starts them: defaults, and the form in the request. */
final class Services {
    private Services() {}

    /** What holds unless the build says something else. */
    static void setConventions(NamedDomainObjectContainer<ServiceSpec> services) {
        services.all(service -> service.getReadyWithin().convention(Duration.ofMinutes(1)));
    }

    /** The services of a block of the extension, by name. */
    static Map<String, Object> describe(
            String block, NamedDomainObjectContainer<ServiceSpec> services) {
        Map<String, Object> described = new LinkedHashMap<>();
        services.forEach(it -> described.put(it.getName(), describe(block, it)));
        return described;
    }

    private static Map<String, Object> describe(String block, ServiceSpec service) {
        String name = block + ".services." + service.getName();
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("image", service.getImage().getOrElse(""));
        described.put("environment", service.getEnvironment().get());
        described.put("command", service.getCommand().get());
        if (service.getPort().isPresent()) {
            described.put("port", service.getPort().get());
        }
        described.put("readiness", readiness(name, service));
        described.put("readyWithinMs", service.getReadyWithin().get().toMillis());
        if (service.getMemory().isPresent()) {
            String memory = service.getMemory().get();
            described.put("memoryBytes", Sizes.bytes(name + ".memory", memory, "'512m' or '2g'"));
        }
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
}
