package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.RetriesSpec;
import dev.testfleet.gradle.TestfleetExtension;
import dev.testfleet.gradle.TimeoutsSpec;
import dev.testfleet.gradle.tasks.RunParallelTask;
import dev.testfleet.gradle.tasks.TestfleetTask;

import org.gradle.api.provider.Property;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How a run deals with what fails, hangs and breaks off: defaults, and the form in the request. */
public final class RunOptions {
    private static final List<String> ISOLATIONS = List.of("none", "directory", "namespace");
    private static final List<String> RESUMES = List.of("off", "auto");

    private RunOptions() {}

    /** What holds unless the build says something else. */
    public static void setConventions(TestfleetExtension extension) {
        RetriesSpec retries = extension.getRetries();
        retries.getMaxRetries().convention(0);
        retries.getMaxFailures().convention(0);
        retries.getMaxFailureRate().convention(0.3);
        retries.getFailOnFlaky().convention(false);
        TimeoutsSpec timeouts = extension.getTimeouts();
        timeouts.getLease().convention(Duration.ofSeconds(30));
        timeouts.getOrphan().convention(Duration.ofMinutes(10));
        extension.getIsolation().convention("none");
        extension.getResume().convention("off");
        extension.getOutputLimit().convention("1g");
    }

    /** The options as the request has them. */
    public static Map<String, Object> describe(TestfleetExtension extension) {
        TimeoutsSpec timeouts = extension.getTimeouts();
        Map<String, Object> limits = new LinkedHashMap<>();
        putMillis(limits, "testMs", "timeouts.test", timeouts.getTest());
        putMillis(limits, "classMs", "timeouts.testClass", timeouts.getTestClass());
        putMillis(limits, "runMs", "timeouts.run", timeouts.getRun());
        Map<String, Object> connection = new LinkedHashMap<>();
        putMillis(connection, "leaseMs", "timeouts.lease", timeouts.getLease());
        putMillis(connection, "orphanTimeoutMs", "timeouts.orphan", timeouts.getOrphan());
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("retries", retries(extension.getRetries()));
        described.put("timeouts", limits);
        described.put("connection", connection);
        String isolation = extension.getIsolation().get();
        String example = "testfleet { isolation = 'directory' }";
        described.put("isolation", Choices.oneOf("isolation", isolation, ISOLATIONS, example));
        described.put("collect", extension.getCollect().get());
        Map<String, Object> output = new LinkedHashMap<>();
        String limit = extension.getOutputLimit().get();
        example = "testfleet { outputLimit = '10g' }";
        output.put("fileBytes", Sizes.bytes("outputLimit", limit, example));
        described.put("output", output);
        String resume = extension.getResume().get();
        example = "testfleet { resume = 'auto' }";
        // The configuration cache of Gradle 8.8 can't read back what Map.of makes.
        Map<String, Object> resumed = new LinkedHashMap<>();
        resumed.put("mode", Choices.oneOf("resume", resume, RESUMES, example));
        described.put("resume", resumed);
        return described;
    }

    /** What the build chose, and what this one call chose instead. */
    static Map<String, Object> of(TestfleetTask task) {
        Map<String, Object> options = new LinkedHashMap<>(task.getRunOptions().get());
        if (!(task instanceof RunParallelTask)) {
            return options;
        }
        RunParallelTask run = (RunParallelTask) task;
        if (run.getResumeRun().isPresent()) {
            options.put("resume", Map.of("mode", "run", "run", run.getResumeRun().get()));
        }
        if (run.getRepeat().isPresent()) {
            options.put("repeat", Choices.repeat(run.getRepeat().get()));
        }
        if (run.getMaxRetries().isPresent()) {
            Map<Object, Object> retries = new LinkedHashMap<>((Map<?, ?>) options.get("retries"));
            retries.put("maxRetries", Choices.maxRetries(run.getMaxRetries().get()));
            options.put("retries", retries);
        }
        return options;
    }

    private static Map<String, Object> retries(RetriesSpec retries) {
        double rate = retries.getMaxFailureRate().get().doubleValue();
        if (!(rate >= 0 && rate <= 1)) {
            throw unfit(
                    "retries.maxFailureRate",
                    rate,
                    "it is not a share from 0 to 1",
                    "testfleet { retries { maxFailureRate = 0.3 } }");
        }
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("maxRetries", count("maxRetries", retries.getMaxRetries().get()));
        described.put("maxFailures", count("maxFailures", retries.getMaxFailures().get()));
        described.put("maxFailureRate", rate);
        described.put("failOnFlaky", retries.getFailOnFlaky().get());
        return described;
    }

    private static int count(String name, int count) {
        if (count < 0) {
            throw unfit(
                    "retries." + name,
                    count,
                    "it is less than 0",
                    "testfleet { retries { " + name + " = 2 } }");
        }
        return count;
    }

    private static void putMillis(
            Map<String, Object> options, String name, String option, Property<Duration> value) {
        if (!value.isPresent()) {
            return;
        }
        long millis = value.get().toMillis();
        if (millis <= 0) {
            throw unfit(
                    option,
                    value.get(),
                    "it is no time at all",
                    "testfleet { timeouts { test = Duration.ofMinutes(5) } }");
        }
        options.put(name, millis);
    }

    private static EngineException unfit(String option, Object value, String why, String example) {
        return Failures.exception(
                "invalid-request",
                "failed to understand the value '" + value + "' of the option " + option,
                why,
                "for example: " + example);
    }
}
