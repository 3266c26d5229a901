package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.report.Slice;
import dev.testfleet.harness.report.UnitReport;

import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Selects some invocations of a test. Loaded only where the platform can (1.9 and later). */
final class Slices {
    private Slices() {}

    /** Why a test's invocations can't be selected; null when they can. */
    static String obstacle(TestDescriptor descriptor, Mapping mapping) {
        if (!mapping.engine.equals("junit-jupiter")) {
            return "the engine " + mapping.engine + " runs all of them or none";
        }
        if (mapping.suites != mapping.root().suites) {
            return "the test is one of a suite, which runs all of them or none";
        }
        if (!mapping.path.isEmpty()) {
            return "its class is a template, whose invocations come first";
        }
        if (descriptor.isTest() || !(descriptor.getSource().orElse(null) instanceof MethodSource)) {
            return "the test has no invocations";
        }
        MethodSource source = (MethodSource) descriptor.getSource().get();
        if (!source.getClassName().equals(mapping.className)) {
            return "the test's nested class is inherited, which Jupiter can't select";
        }
        return null;
    }

    static DiscoverySelector selector(TestDescriptor descriptor, Slice slice) {
        MethodSource source = (MethodSource) descriptor.getSource().get();
        return DiscoverySelectors.selectIteration(
                DiscoverySelectors.selectMethod(
                        source.getJavaClass(),
                        source.getMethodName(),
                        source.getMethodParameterTypes()),
                slice.indices());
    }

    /** Hears when the last invocation that could be selected is one of many. */
    static TestExecutionListener cutListener(UnitReport report, Slice slice) {
        String last = ":#" + slice.to + "]";
        return new TestExecutionListener() {
            @Override
            public void executionStarted(TestIdentifier identifier) {
                if (slice.isCut && identifier.getUniqueId().endsWith(last)) {
                    slice.reportCut(report);
                }
            }
        };
    }
}
