package dev.testfleet.gradle;

import org.gradle.api.provider.ListProperty;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The block {@code constraints { }}: what must hold between test classes. Classes are named by
 * patterns with {@code *} for any text; a pattern without a dot matches simple names.
 */
public abstract class ConstraintsSpec {
    /** The constraints, as the engine's request has them. */
    public abstract ListProperty<Map<String, Object>> getAll();

    /** The classes run on one worker, one after another, with nothing between them. */
    public void together(String... classes) {
        add("together", Map.of(), classes);
    }

    /** No two of the classes run at the same time, because they share {@code resource}. */
    public void lock(String resource, String... classes) {
        add("lock", Map.of("resource", resource), classes);
    }

    /** While one of the classes runs, nothing else does. */
    public void alone(String... classes) {
        add("alone", Map.of(), classes);
    }

    private void add(String type, Map<String, String> more, String... classes) {
        Map<String, Object> constraint = new LinkedHashMap<>();
        constraint.put("type", type);
        constraint.putAll(more);
        constraint.put("classes", new ArrayList<>(List.of(classes)));
        getAll().add(constraint);
    }
}
