package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.report.Running;

import java.util.ArrayList;
import java.util.List;

/** A node of the tree that is being run. */
final class Node {
    final Mapping mapping;
    final String displayName;

    /** Whether it has or may get children. */
    final boolean container;

    /** Which of the occurrences of its test it is, from 0. */
    final int ordinal;

    final List<Node> children = new ArrayList<>();

    /** Whether its test occurs several times, so that it is only one part of it. */
    volatile boolean repeated;

    volatile Running running;

    Node(Mapping mapping, String displayName, boolean container, int ordinal) {
        this.mapping = mapping;
        this.displayName = displayName;
        this.container = container;
        this.ordinal = ordinal;
    }

    /** Its id below its test. */
    String invocation() {
        return mapping.path.isEmpty() ? "#" + ordinal : mapping.path;
    }
}
