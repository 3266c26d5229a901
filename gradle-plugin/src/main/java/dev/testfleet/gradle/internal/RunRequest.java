package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.tasks.PlanningTask;
import dev.testfleet.gradle.tasks.TestfleetTask;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** The {@code RunRequest} document: the whole build, its Test tasks and what the user chose. */
public final class RunRequest {
    private static final int PROTOCOL_VERSION = 1;

    private final TestfleetTask task;
    private final File agent;
    private final File harnessJar;

    private RunRequest(TestfleetTask task, File agent, File harnessJar) {
        this.task = task;
        this.agent = agent;
        this.harnessJar = harnessJar;
    }

    /** The request of one of Testfleet's tasks. */
    public static RunRequest of(TestfleetTask task, EngineService engine) {
        return new RunRequest(task, engine.agent(), engine.harnessJar());
    }

    /**
     * The document.
     *
     * @throws EngineException when an option has a value that makes no sense, or there is no Test
     *     task, or none that is enabled
     * @throws IOException when a description cannot be read
     */
    public Map<String, Object> document() throws IOException {
        Map<String, Object> request = new LinkedHashMap<>();
        request.put("protocol", PROTOCOL_VERSION);
        request.put("buildName", task.getBuildName().get());
        request.put("roots", new TreeMap<>(task.getRoots().get()));
        request.put("resultsDir", task.getResultsDir().get().getAsFile());
        request.put("reportsDir", task.getReportsDir().get().getAsFile());
        request.put("timingsFile", task.getTimingsFile().get().getAsFile());
        request.put("stateDir", task.getStateDir().get().getAsFile());
        request.put("harnessJar", harnessJar);
        request.put("agent", agent);
        request.put("options", options());
        request.put("tasks", testTasks());
        return request;
    }

    private Map<String, Object> options() throws IOException {
        Map<String, Object> options = new LinkedHashMap<>();
        options.put("backend", Choices.backend(task.getBackend().get()));
        options.put("workers", Choices.workers(task.getWorkers().get()));
        options.put("split", Choices.split(task.getSplit().get()));
        options.put("splitClasses", splitClasses());
        options.put("constraints", task.getConstraints().get());
        options.put("locks", Choices.locks(task.getLocks().get()));
        options.put("order", Choices.order(task.getOrder().get()));
        options.put("reuse", Choices.reuse(task.getReuse().get()));
        options.put("quarantineFile", task.getQuarantineFile().getAsFile().getOrNull());
        Map<String, Object> history = task.getHistory().get();
        options.put("history", history.isEmpty() ? null : history);
        if (task instanceof PlanningTask) {
            PlanningTask planning = (PlanningTask) task;
            options.put("shard", planning.getShard().map(Choices::shard).getOrNull());
            options.put("rerunFailed", planning.getRerunFailedOf().getOrNull());
        }
        options.put("run", RunOptions.of(task));
        options.put("docker", task.getDockerOptions().get());
        options.put("kubernetes", task.getKubernetesOptions().get());
        options.put("image", image());
        options.put("tests", task.getTests().get());
        options.put("ignoreFailures", task.getIgnoreFailures().get());
        options.put("passEnvironment", new TreeSet<>(task.getPassEnvironment().get()));
        return options;
    }

    private Map<String, Object> image() throws IOException {
        Map<String, Object> image = new LinkedHashMap<>(task.getImageOptions().get());
        if (task instanceof PlanningTask) {
            image.putAll(((PlanningTask) task).forBuilds());
        }
        return image;
    }

    private List<Map<String, Object>> splitClasses() {
        List<Map<String, Object>> choices = task.getSplitClasses().get();
        choices.forEach(choice -> Choices.split(String.valueOf(choice.get("split"))));
        return choices;
    }

    private List<Map<String, Object>> testTasks() throws IOException {
        List<Map<String, Object>> described = new ArrayList<>();
        for (File description : task.getDescriptions()) {
            described.add(Json.object(Files.readAllBytes(description.toPath())));
        }
        if (described.isEmpty()) {
            throw noTestTasks();
        }
        described.sort(Comparator.comparing(RunRequest::path));
        List<Map<String, Object>> enabled =
                described.stream()
                        .filter(it -> !Boolean.FALSE.equals(it.remove("enabled")))
                        .collect(Collectors.toList());
        if (enabled.isEmpty()) {
            throw allDisabled(described);
        }
        return enabled;
    }

    private static String path(Map<String, Object> testTask) {
        return String.valueOf(testTask.get("path"));
    }

    private static EngineException allDisabled(List<Map<String, Object>> testTasks) {
        return Failures.exception(
                "no-tests",
                "failed to find tests to run",
                "all Test tasks are disabled: "
                        + testTasks.stream()
                                .map(RunRequest::path)
                                .collect(Collectors.joining(", ")),
                "let one be enabled = true, or name other Test tasks with"
                        + " testfleet { testTasks = ['integrationTest'] }");
    }

    private EngineException noTestTasks() {
        String names = String.join("', '", new TreeSet<>(task.getTestTasks().get()));
        return Failures.exception(
                "no-tests",
                "failed to find tests to run",
                "none of the projects in the configuration 'testfleet' has a Test task '"
                        + names
                        + "'",
                "declare modules with dependencies { testfleet project(':app') }, and name their"
                        + " Test tasks with testfleet { testTasks = ['test'] }");
    }
}
