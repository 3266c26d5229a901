package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.junitplatform.Mapping.Kind;
import dev.testfleet.harness.report.Result;
import dev.testfleet.harness.report.Running;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.TestName;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Tells a unit's report what the platform says. Called by several threads in parallel runs. */
final class PlatformListener implements TestExecutionListener {
    private final UnitReport report;
    private final UnitTree tree;
    private final Map<String, Node> nodes = new ConcurrentHashMap<>();
    private final Map<TestName, List<Node>> occurrences = new HashMap<>();

    /** What became of engines that gave up; it may concern any test that no engine reported. */
    private final Queue<Result> givenUp = new ConcurrentLinkedQueue<>();

    PlatformListener(UnitReport report, UnitTree tree) {
        this.report = report;
        this.tree = tree;
    }

    @Override
    public void testPlanExecutionStarted(TestPlan plan) {
        for (TestIdentifier root : plan.getRoots()) {
            registerTree(plan, root);
        }
    }

    @Override
    public void testPlanExecutionFinished(TestPlan plan) {
        givenUp.forEach(report::endAllUnstarted);
    }

    @Override
    public void dynamicTestRegistered(TestIdentifier identifier) {
        register(identifier);
    }

    @Override
    public void executionStarted(TestIdentifier identifier) {
        Node node = register(identifier);
        if (node.mapping.test == null || node.mapping.classFailure) {
            report.beginOutsideTests();
        } else {
            node.running = report.begin(node.mapping.test);
        }
    }

    @Override
    public void executionSkipped(TestIdentifier identifier, String reason) {
        endUnstarted(register(identifier), Result.skipped(reason));
    }

    @Override
    public void executionFinished(TestIdentifier identifier, TestExecutionResult outcome) {
        Node node = register(identifier);
        Mapping mapping = node.mapping;
        Running running = node.running;
        if (mapping.test == null || mapping.classFailure) {
            classFinished(node, outcome);
        } else if (running == null) {
            endUnstarted(node, result(outcome));
        } else if (mapping.kind == Kind.METHOD && !node.repeated) {
            report.end(running, result(outcome));
        } else if (node.container && outcome.getStatus() == Status.SUCCESSFUL) {
            report.leave(running);
        } else {
            report.endInvocation(running, node.invocation(), node.displayName, result(outcome));
        }
    }

    private void classFinished(Node node, TestExecutionResult outcome) {
        Throwable thrown = outcome.getThrowable().orElse(null);
        switch (outcome.getStatus()) {
            case FAILED:
                if (thrown != null) {
                    report.classFailed(node.mapping.className, thrown);
                }
                endUnstarted(node, Result.errored("set-up of its class failed", thrown));
                break;
            case ABORTED:
                endUnstarted(node, Result.aborted(thrown));
                break;
            default:
                break;
        }
    }

    /** Ends what has not begun: the node's own test, or those below it. */
    private void endUnstarted(Node node, Result result) {
        Mapping mapping = node.mapping;
        if (mapping.classFailure) {
            givenUp.add(result);
        } else if (mapping.kind == Kind.METHOD && !node.repeated) {
            report.endUnstarted(mapping.test, result);
        } else if (mapping.test != null) {
            report.endUnstartedInvocation(
                    mapping.test, node.invocation(), node.displayName, result);
        } else {
            for (Node child : children(node)) {
                endUnstarted(child, result);
            }
            // What the framework did not even list, as the tests of a class that is ignored.
            if (mapping.kind == Kind.CLASS && mapping.path.isEmpty()) {
                report.endUnstartedOf(mapping.ownClass(), result);
            } else if (mapping.isEngine()) {
                givenUp.add(result);
            }
        }
    }

    private List<Node> children(Node node) {
        synchronized (occurrences) {
            return new ArrayList<>(node.children);
        }
    }

    private static Result result(TestExecutionResult outcome) {
        Throwable thrown = outcome.getThrowable().orElse(null);
        switch (outcome.getStatus()) {
            case SUCCESSFUL:
                return Result.passed();
            case ABORTED:
                return Result.aborted(thrown);
            default:
                return thrown == null
                        ? Result.failed(new ArrayList<Throwable>())
                        : Result.failed(thrown);
        }
    }

    private void registerTree(TestPlan plan, TestIdentifier identifier) {
        register(identifier);
        for (TestIdentifier child : plan.getChildren(identifier)) {
            registerTree(plan, child);
        }
    }

    private Node register(TestIdentifier identifier) {
        String id = identifier.getUniqueId();
        Node known = nodes.get(id);
        if (known != null) {
            return known;
        }
        Node parent = identifier.getParentId().map(nodes::get).orElse(null);
        Mapping mapping = tree.mapping(parent == null ? null : parent.mapping, identifier);
        synchronized (occurrences) {
            return nodes.computeIfAbsent(id, i -> create(parent, mapping, identifier));
        }
    }

    private Node create(Node parent, Mapping mapping, TestIdentifier identifier) {
        List<Node> same = new ArrayList<>();
        if (mapping.kind == Kind.METHOD) {
            same = occurrences.computeIfAbsent(mapping.test, test -> new ArrayList<>());
        }
        Node node =
                new Node(
                        mapping,
                        identifier.getDisplayName(),
                        identifier.isContainer(),
                        same.size());
        same.add(node);
        if (mapping.kind == Kind.METHOD
                && (mapping.repeated || !mapping.path.isEmpty() || same.size() > 1)) {
            same.forEach(each -> each.repeated = true);
            report.endWithUnit(mapping.test);
        }
        if (parent != null) {
            parent.children.add(node);
        }
        return node;
    }
}
