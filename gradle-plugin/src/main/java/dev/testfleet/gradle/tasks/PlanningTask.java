package dev.testfleet.gradle.tasks;

import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.api.tasks.options.Option;

import java.util.LinkedHashMap;
import java.util.Map;

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
