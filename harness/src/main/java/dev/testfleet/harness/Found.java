package dev.testfleet.harness;

import dev.testfleet.harness.wire.TestName;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** What a framework finds in a class. */
public final class Found {
    private final Set<String> engines = new TreeSet<>();
    private final Set<TestName> tests = new LinkedHashSet<>();

    /** Adds a test, unless it is known, and the engine that finds it. */
    public void add(String engine, TestName test) {
        engines.add(engine);
        tests.add(test);
    }

    /** Whether no test was added. */
    public boolean isEmpty() {
        return tests.isEmpty();
    }

    /** Sorted. */
    List<String> engines() {
        return Collections.unmodifiableList(new ArrayList<>(engines));
    }

    /** In the framework's order. */
    List<TestName> tests() {
        return Collections.unmodifiableList(new ArrayList<>(tests));
    }
}
