package dev.testfleet.gradle.tasks;

import dev.testfleet.gradle.internal.Json;

import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** What tasks that make a plan have in common: the choice of tests, and to look before they act. */
@UntrackedTask(because = "Testfleet's engine decides what there is to do")
public abstract class PlanningTask extends TestfleetTask {
    /** The part of all tests that is planned. */
    @Input
    @Optional
    @Option(option = "shard", description = "Plans one of several parts of all tests, such as 2/5.")
    public abstract Property<String> getShard();

    /** The run whose tests that did not pass are planned. */
    @Input
    @Optional
    @Option(
            option = "rerun-failed-of",
            description = "Plans the tests that did not pass in this run: its id, or 'last'.")
    public abstract Property<String> getRerunFailedOf();

    /** Whether the tests are only listed. */
    @Input
    @Optional
    @Option(option = "list", description = "Lists the tests, and writes and runs nothing.")
    public abstract Property<Boolean> getList();

    /** Whether a listing is JSON. */
    @Input
    @Optional
    @Option(option = "json", description = "Lists as JSON.")
    public abstract Property<Boolean> getJson();

    /** Descriptions of what the build is built with; none unless an image gets it. */
    @InputFiles
    @PathSensitive(PathSensitivity.NONE)
    public abstract ConfigurableFileCollection getBuildDependencies();

    /**
     * What images get besides the tests, as the engine's request has it.
     *
     * @throws IOException when a description cannot be read
     */
    public Map<String, Object> forBuilds() throws IOException {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("buildModules", merged("modules"));
        described.put("buildFiles", merged("files"));
        return described;
    }

    private List<String> merged(String name) throws IOException {
        TreeSet<String> all = new TreeSet<>();
        for (File description : getBuildDependencies()) {
            Object found = Json.object(Files.readAllBytes(description.toPath())).get(name);
            ((Collection<?>) found).forEach(one -> all.add(String.valueOf(one)));
        }
        return new ArrayList<>(all);
    }

    /** Plans the tests that did not pass in the last run. */
    @Option(
            option = "rerun-failed",
            description = "Plans the tests that did not pass in the last run.")
    public void rerunFailed(boolean failed) {
        getRerunFailedOf().set(failed ? "last" : null);
    }

    /** What is to be shown instead of being done; null for nothing. */
    Map<String, Object> listing(boolean plan) {
        boolean tests = getList().getOrElse(false);
        if (!tests && !plan) {
            return null;
        }
        Map<String, Object> command = new LinkedHashMap<>();
        command.put("name", "show");
        command.put("what", tests ? "tests" : "plan");
        command.put("json", getJson().getOrElse(false));
        return command;
    }
}
