package dev.testfleet.harness.junit4;

import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.TestName;

import org.junit.runner.Description;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tests that a runner describes, in the plan's terms. */
final class UnitTests {
    private final UnitReport report;
    private final Map<Description, Leaf> leaves = new HashMap<>();
    private final Map<TestName, List<Leaf>> occurrences = new HashMap<>();

    UnitTests(UnitReport report) {
        this.report = report;
    }

    /** Learns all that is below a description. */
    void register(Description description) {
        register(description, new ArrayList<String>());
    }

    private void register(Description description, List<String> groups) {
        if (isEmptyClass(description)) {
            return;
        }
        if (description.isTest()) {
            leaf(description, groups);
            return;
        }
        List<String> below = new ArrayList<>(groups);
        below.add(0, description.getDisplayName());
        for (Description child : description.getChildren()) {
            register(child, below);
        }
    }

    /** The leaf of a description, also of one that the runner kept to itself until now. */
    Leaf leaf(Description description) {
        return leaf(description, Collections.<String>emptyList());
    }

    /** The leaves at and below a description. */
    List<Leaf> below(Description description) {
        List<Leaf> found = new ArrayList<>();
        if (description.isTest() && !isEmptyClass(description)) {
            found.add(leaf(description));
        }
        for (Description child : description.getChildren()) {
            found.addAll(below(child));
        }
        return found;
    }

    /** Whether a description is that of a class without tests, which JUnit also calls a test. */
    static boolean isEmptyClass(Description description) {
        return description.isTest() && description.getMethodName() == null;
    }

    static LegacyNames names(Description description, List<String> groups, UnitReport report) {
        String className = description.getClassName();
        String method = description.getMethodName();
        // A description without a class has only a text.
        return LegacyNames.resolve(
                method == null ? report.unit().className : className,
                method == null ? description.getDisplayName() : method,
                groups,
                report::isPlanned);
    }

    private synchronized Leaf leaf(Description description, List<String> groups) {
        Leaf known = leaves.get(description);
        if (known != null) {
            return known;
        }
        LegacyNames names = names(description, groups, report);
        List<Leaf> same = occurrences.computeIfAbsent(names.test, test -> new ArrayList<>());
        Leaf leaf = new Leaf(names, display(description), same.size());
        same.add(leaf);
        leaves.put(description, leaf);
        if (names.invocation || same.size() > 1) {
            same.forEach(each -> each.repeated = true);
            report.endWithUnit(names.test);
        }
        return leaf;
    }

    private static String display(Description description) {
        return description.getMethodName() == null
                ? description.getDisplayName()
                : description.getMethodName();
    }

    /** A test, or one of its occurrences. */
    static final class Leaf {
        final TestName test;
        final boolean classFailure;
        final String displayName;
        final String invocation;
        volatile boolean repeated;

        private Leaf(LegacyNames names, String displayName, int ordinal) {
            this.test = names.test;
            this.classFailure = names.classFailure;
            this.displayName = displayName;
            this.invocation = "#" + ordinal;
        }
    }
}
