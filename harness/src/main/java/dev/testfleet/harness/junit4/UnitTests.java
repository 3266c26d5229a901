package dev.testfleet.harness.junit4;

import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.LegacyNames.Above;
import dev.testfleet.harness.report.Suites;
import dev.testfleet.harness.wire.TestName;

import org.junit.runner.Description;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** The tests that a runner describes, in the plan's terms. */
final class UnitTests {
    private final String unitClass;
    private final Consumer<TestName> repeats;
    private final LegacyNames.Resolver resolver;
    private final Above top;

    /** Equal descriptions at several places, as a class in two suites, have a leaf each. */
    private final Map<Description, Places> places = new HashMap<>();

    private final Map<Description, TestName> classes = new HashMap<>();
    private final Map<TestName, List<Leaf>> occurrences = new HashMap<>();

    /**
     * @param repeats told of tests that occur several times
     */
    UnitTests(String unitClass, Predicate<TestName> planned, Consumer<TestName> repeats) {
        this.unitClass = unitClass;
        this.repeats = repeats;
        resolver = new LegacyNames.Resolver(planned);
        top = resolver.top(unitClass, Suites.NONE);
    }

    /** Learns all that is below a runner's description. */
    synchronized void register(Description root) {
        if (root.isTest() && !isEmptyClass(root)) {
            add(root, top);
        }
        for (Description child : root.getChildren()) {
            register(child, top);
        }
    }

    private void register(Description description, Above above) {
        if (isEmptyClass(description)) {
            classes.put(description, above.suites().ownClass(description.getClassName()));
        } else if (description.isTest()) {
            add(description, above);
        } else {
            Class<?> type = description.getTestClass();
            String container = type == null ? null : type.getName();
            Above below = resolver.below(above, container, description.getDisplayName());
            if (container != null) {
                classes.put(description, above.suites().ownClass(container));
            }
            for (Description child : description.getChildren()) {
                register(child, below);
            }
        }
    }

    /** The leaf of a description that begins: the next one when several places have it. */
    synchronized Leaf begin(Description description) {
        Places known = known(description);
        Leaf leaf = known.leaves.get(known.begun % known.leaves.size());
        known.begun++;
        return leaf;
    }

    /** The leaves of a description. */
    synchronized List<Leaf> leaves(Description description) {
        return new ArrayList<>(known(description).leaves);
    }

    /** The leaves at and below a description. */
    synchronized List<Leaf> below(Description description) {
        List<Leaf> found = new ArrayList<>();
        if (description.isTest() && !isEmptyClass(description)) {
            found.addAll(known(description).leaves);
        }
        for (Description child : description.getChildren()) {
            found.addAll(below(child));
        }
        return found;
    }

    /** What the tests of a class's description begin with, see {@link Suites#ownClass}. */
    synchronized TestName ownClass(Description description) {
        TestName known = classes.get(description);
        return known == null ? new TestName(description.getClassName(), "") : known;
    }

    /** Whether a description is that of a class without tests, which JUnit also calls a test. */
    static boolean isEmptyClass(Description description) {
        return description.isTest() && description.getMethodName() == null;
    }

    /** Also knows those that the runner kept to itself until now. */
    private Places known(Description description) {
        Places known = places.get(description);
        if (known == null) {
            add(description, top);
            known = places.get(description);
        }
        return known;
    }

    private void add(Description description, Above above) {
        String method = description.getMethodName();
        // A description without a class has only a text.
        LegacyNames names =
                resolver.resolve(
                        method == null ? unitClass : description.getClassName(),
                        method == null ? description.getDisplayName() : method,
                        above);
        List<Leaf> same = occurrences.computeIfAbsent(names.test, test -> new ArrayList<>());
        Leaf leaf = new Leaf(names, display(description), same.size());
        same.add(leaf);
        places.computeIfAbsent(description, key -> new Places()).leaves.add(leaf);
        if (names.invocation || same.size() > 1) {
            same.forEach(each -> each.repeated = true);
            repeats.accept(names.test);
        }
    }

    private static String display(Description description) {
        return description.getMethodName() == null
                ? description.getDisplayName()
                : description.getMethodName();
    }

    /** Where one description stands in the tree. */
    private static final class Places {
        private final List<Leaf> leaves = new ArrayList<>();
        private int begun;
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
