package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.junitplatform.Mapper.Seen;
import dev.testfleet.harness.wire.TestName;

import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestIdentifier;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiConsumer;
import java.util.function.Predicate;

/**
 * The tree that the engines discover in a unit's class. A filter, because filters see it before
 * anything is left out: what a test is called must not depend on which others run.
 */
final class UnitTree implements PostDiscoveryFilter {
    private final Mapper mapper;
    private final Predicate<TestName> wanted;
    private final Map<String, Mapping> mappings = new ConcurrentHashMap<>();
    private final Set<String> wantedTwins = new HashSet<>();

    /**
     * @param wanted which tests are kept
     */
    UnitTree(Mapper mapper, Predicate<TestName> wanted) {
        this.mapper = mapper;
        this.wanted = wanted;
    }

    /** Says nothing of classes and groups: they go with the last of what is below them. */
    @Override
    public FilterResult apply(TestDescriptor descriptor) {
        Mapping mapping = mapping(descriptor);
        return FilterResult.includedIf(
                mapping.test == null
                        || mapping.classFailure
                        || wanted.test(mapping.test)
                        || mapping.twin != null && wantedTwins.contains(mapping.twin));
    }

    /**
     * A filter to put behind all others: takes down the tests that they leave, and suites without
     * any (their mapping has no test). Unlike a test plan it sees the methods of class templates.
     */
    PostDiscoveryFilter lister(BiConsumer<TestDescriptor, Mapping> left) {
        return descriptor -> {
            Mapping mapping = mapping(descriptor);
            if (mapping.test != null || isEmptySuite(descriptor, mapping)) {
                left.accept(descriptor, mapping);
            }
            return FilterResult.included("listed");
        };
    }

    /** Whether it is a suite that fails because it has no tests: its engine keeps it for that. */
    private static boolean isEmptySuite(TestDescriptor descriptor, Mapping mapping) {
        return mapping.kind == Mapping.Kind.CLASS
                && mapping.engine.equals("junit-platform-suite")
                && descriptor.getChildren().isEmpty()
                && descriptor.mayRegisterTests();
    }

    /** The mapping of a node, also of one that was made while the tests ran. */
    Mapping mapping(Mapping parent, TestIdentifier identifier) {
        String id = identifier.getUniqueId();
        Mapping known = mappings.get(id);
        return known != null
                ? known
                : mapper.map(
                        parent,
                        new Seen(
                                UniqueId.parse(id),
                                identifier.getSource().orElse(null),
                                identifier.getDisplayName(),
                                identifier.isTest(),
                                false));
    }

    private synchronized Mapping mapping(TestDescriptor descriptor) {
        String id = descriptor.getUniqueId().toString();
        if (!mappings.containsKey(id)) {
            TestDescriptor root = descriptor;
            while (root.getParent().isPresent()) {
                root = root.getParent().get();
            }
            learn(root);
        }
        return mappings.get(id);
    }

    private void learn(TestDescriptor root) {
        Map<TestDescriptor, Mapping> named = new LinkedHashMap<>();
        map(root, null, new HashMap<TestDescriptor, String>(), named);
        Map<TestDescriptor, String> distinct = distinctNames(named);
        if (!distinct.isEmpty()) {
            map(root, null, distinct, named);
        }
        named.forEach(
                (node, mapping) -> {
                    mappings.put(node.getUniqueId().toString(), mapping);
                    if (mapping.twin != null && wanted.test(mapping.test)) {
                        wantedTwins.add(mapping.twin);
                    }
                });
    }

    private void map(
            TestDescriptor node,
            Mapping parent,
            Map<TestDescriptor, String> names,
            Map<TestDescriptor, Mapping> found) {
        boolean unlisted =
                !node.isTest() && node.getChildren().isEmpty() && node.mayRegisterTests();
        Mapping mapping =
                mapper.map(
                        parent,
                        new Seen(
                                node.getUniqueId(),
                                node.getSource().orElse(null),
                                names.getOrDefault(node, node.getDisplayName()),
                                node.isTest(),
                                unlisted));
        found.put(node, mapping);
        for (TestDescriptor child : node.getChildren()) {
            map(child, mapping, names, found);
        }
    }

    /**
     * Names for tests of which several display the same: with as much of the end of their unique
     * ids as tells them apart, which is the same in every JVM.
     */
    private static Map<TestDescriptor, String> distinctNames(Map<TestDescriptor, Mapping> named) {
        Map<TestName, List<TestDescriptor>> groups = new LinkedHashMap<>();
        named.forEach(
                (node, mapping) -> {
                    if (Mapper.isNamedByDisplay(mapping, node.getSource().orElse(null))) {
                        groups.computeIfAbsent(mapping.test, test -> new ArrayList<>()).add(node);
                    }
                });
        Map<TestDescriptor, String> names = new HashMap<>();
        for (List<TestDescriptor> same : groups.values()) {
            if (same.size() > 1) {
                names.putAll(distinctNames(same));
            }
        }
        return names;
    }

    private static Map<TestDescriptor, String> distinctNames(List<TestDescriptor> same) {
        for (int length = 1; ; length++) {
            Map<TestDescriptor, String> names = new HashMap<>();
            Set<String> taken = new HashSet<>();
            boolean complete = true;
            for (TestDescriptor node : same) {
                List<UniqueId.Segment> segments = node.getUniqueId().getSegments();
                int from = Math.max(0, segments.size() - length);
                complete &= from == 0;
                StringBuilder text = new StringBuilder(node.getDisplayName()).append(" [");
                String separator = "";
                for (UniqueId.Segment segment : segments.subList(from, segments.size())) {
                    text.append(separator).append(segment.getType()).append(':');
                    text.append(segment.getValue());
                    separator = "/";
                }
                String name = text.append(']').toString();
                names.put(node, name);
                taken.add(name);
            }
            if (complete || taken.size() == same.size()) {
                return names;
            }
        }
    }
}
