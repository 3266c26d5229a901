package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.Found;
import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.report.Slice;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.Filter;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.EngineFilter;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code useJUnitPlatform()}: Jupiter, Vintage and every other engine on the class path. */
public final class JUnitPlatform implements Framework {
    private static final List<String> OPTIONS =
            Arrays.asList("includeTags", "excludeTags", "includeEngines", "excludeEngines");

    private final List<Filter<?>> filters = new ArrayList<>();
    private final AutoCloseable session;
    private final Launcher launcher;

    public JUnitPlatform(FrameworkOptions options) throws HarnessFault {
        options.checkNames("the JUnit Platform", OPTIONS);
        if (!options.all("includeTags").isEmpty()) {
            filters.add(TagFilter.includeTags(options.all("includeTags")));
        }
        if (!options.all("excludeTags").isEmpty()) {
            filters.add(TagFilter.excludeTags(options.all("excludeTags")));
        }
        if (!options.all("includeEngines").isEmpty()) {
            filters.add(EngineFilter.includeEngines(options.all("includeEngines")));
        }
        if (!options.all("excludeEngines").isEmpty()) {
            filters.add(EngineFilter.excludeEngines(options.all("excludeEngines")));
        }
        if (isThere("org.junit.platform.launcher.LauncherSession")) {
            SessionLauncher opened = new SessionLauncher();
            session = opened;
            launcher = opened.launcher();
        } else {
            session = () -> {};
            launcher = LauncherFactory.create();
        }
        // Says now what would spoil every unit: no engine, or jars that don't fit together. In a
        // class without tests: Kotest searches the whole class path when nothing is selected.
        launcher.discover(
                LauncherDiscoveryRequestBuilder.request()
                        .filters(filters.toArray(new Filter<?>[0]))
                        .selectors(DiscoverySelectors.selectClass(Object.class))
                        .build());
    }

    @Override
    public void run(UnitReport report) throws Exception {
        RunUnit unit = report.unit();
        if (unit.invocations != null) {
            runSlice(report);
            return;
        }
        UnitTree tree =
                new UnitTree(
                        new Mapper(unit.className, report::isPlanned),
                        test -> unit.wholeClass || report.isPlanned(test));
        LauncherDiscoveryRequest request =
                request(tree, DiscoverySelectors.selectClass(unit.className)).build();
        launcher.execute(request, new PlatformListener(report, tree));
    }

    private void runSlice(UnitReport report) {
        RunUnit unit = report.unit();
        if (!isThere("org.junit.platform.engine.discovery.IterationSelector")) {
            Slice.refuse(report, "this takes JUnit Platform 1.9 or later");
            return;
        }
        Slice slice = Slice.of(unit);
        Mapper mapper = new Mapper(unit.className, report::isPlanned);
        UnitTree whole = new UnitTree(mapper, report::isPlanned);
        Map<TestDescriptor, Mapping> nodes = new LinkedHashMap<>();
        launcher.discover(
                request(whole, DiscoverySelectors.selectClass(unit.className))
                        .filters(
                                whole.lister(
                                        (node, mapping) -> {
                                            if (report.isPlanned(mapping.test)) {
                                                nodes.put(node, mapping);
                                            }
                                        }))
                        .build());
        if (nodes.isEmpty()) {
            // As for any planned test that the framework does not have: it does not run.
            return;
        }
        Map.Entry<TestDescriptor, Mapping> node = nodes.entrySet().iterator().next();
        String obstacle = Slices.obstacle(node.getKey(), node.getValue());
        if (obstacle == null && nodes.size() > 1) {
            obstacle = "the test occurs several times in its class";
        }
        if (obstacle != null) {
            Slice.refuse(report, obstacle);
            return;
        }
        UnitTree tree = new UnitTree(mapper, report::isPlanned);
        launcher.execute(
                request(tree, Slices.selector(node.getKey(), slice)).build(),
                Slices.cutListener(report, slice),
                new PlatformListener(report, tree));
    }

    @Override
    public Found discover(String className) throws Exception {
        // Old launchers write what stands in the way to the log and find nothing.
        ClassCheck.check(className);
        UnitTree tree = new UnitTree(new Mapper(className, test -> false), test -> true);
        Found found = new Found();
        List<TestDescriptor> refused = new ArrayList<>();
        List<String> emptySuites = new ArrayList<>();
        PostDiscoveryFilter lister =
                tree.lister(
                        (node, mapping) -> {
                            if (mapping.test == null) {
                                emptySuites.add(mapping.className);
                            } else if (mapping.classFailure) {
                                refused.add(node);
                            } else {
                                found.add(mapping.root().engine, mapping.test);
                            }
                        });
        launcher.discover(
                request(tree, DiscoverySelectors.selectClass(className)).filters(lister).build());
        // Beside tests that can run, what is refused says so itself when it is its turn.
        if (found.isEmpty() && !refused.isEmpty()) {
            throw ClassCheck.refused(className, refused.get(0));
        }
        if (!emptySuites.isEmpty()) {
            throw new IllegalStateException(
                    "failed to find any test in the suite "
                            + emptySuites.get(0)
                            + ", which fails without any");
        }
        return found;
    }

    @Override
    public void close() throws Exception {
        session.close();
    }

    private LauncherDiscoveryRequestBuilder request(UnitTree tree, DiscoverySelector selector) {
        return LauncherDiscoveryRequestBuilder.request()
                .filters(tree)
                .filters(filters.toArray(new Filter<?>[0]))
                .selectors(selector);
    }

    private static boolean isThere(String className) {
        try {
            Class.forName(className, false, JUnitPlatform.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
