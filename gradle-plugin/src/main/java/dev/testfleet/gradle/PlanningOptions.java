package dev.testfleet.gradle;

import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.Internal;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a build chooses about the plan; the extension has the defaults of all tasks. */
public interface PlanningOptions {
    /**
     * What may go to a worker by itself: {@code auto} (classes, and parts of those that are longer
     * than a worker's fair share), {@code class} or {@code method}.
     */
    @Input
    Property<String> getSplit();

    /** Classes that are split in their own way, as the engine's request has them. */
    @Input
    ListProperty<Map<String, Object>> getSplitClasses();

    /**
     * What goes first: {@code failed}, {@code new}, {@code longest}, {@code shortest}, {@code
     * name}; the first key counts most.
     */
    @Input
    ListProperty<String> getOrder();

    /**
     * How far {@code @ResourceLock} and {@code @Isolated} reach: {@code run}, over all workers, or
     * {@code jvm}.
     */
    @Input
    Property<String> getLocks();

    /**
     * Whether tests that passed before are run again: {@code auto} (not when all that they reach is
     * equal), {@code classpath} (not when the whole classpath is equal) or {@code off} (yes).
     */
    @Input
    Property<String> getReuse();

    /** Tests that run but do not fail the build; none unless set. */
    @Internal
    RegularFileProperty getQuarantineFile();

    /** Where the durations of past runs are kept; {@code timings.json} of stateDir unless set. */
    @Internal
    RegularFileProperty getTimingsFile();

    /**
     * What speeds up the next run on this machine; may be deleted at any time. {@code
     * .gradle/testfleet} unless set.
     */
    @Internal
    DirectoryProperty getStateDir();

    /**
     * Splits some classes in their own way; the last choice that fits a class counts.
     *
     * @param split {@code auto}, {@code class} or {@code method}
     * @param classes patterns with {@code *} for any text; one without a dot matches simple names
     */
    default void splitClasses(String split, String... classes) {
        Map<String, Object> choice = new LinkedHashMap<>();
        choice.put("split", split);
        choice.put("classes", new ArrayList<>(List.of(classes)));
        getSplitClasses().add(choice);
    }
}
