package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.Found;
import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

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
import java.util.List;

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
        if (hasSessions()) {
            SessionLauncher opened = new SessionLauncher();
            session = opened;
            launcher = opened.launcher();
        } else {
            session = () -> {};
            launcher = LauncherFactory.create();
        }
        // Says now what would spoil every unit: no engine, or jars that don't fit together.
        launcher.discover(
                LauncherDiscoveryRequestBuilder.request()
                        .filters(filters.toArray(new Filter<?>[0]))
                        .build());
    }

    @Override
    public void run(UnitReport report) {
        RunUnit unit = report.unit();
        UnitTree tree =
                new UnitTree(
                        new Mapper(unit.className, report::isPlanned),
                        test -> unit.wholeClass || report.isPlanned(test));
        LauncherDiscoveryRequest request = request(tree, unit.className).build();
        launcher.execute(request, new PlatformListener(report, tree));
    }

    @Override
    public Found discover(String className) throws Exception {
        // Old launchers write what stands in the way to the log and find nothing.
        ClassCheck.check(className);
        UnitTree tree = new UnitTree(new Mapper(className, test -> false), test -> true);
        Found found = new Found();
        List<TestDescriptor> refused = new ArrayList<>();
        PostDiscoveryFilter lister =
                tree.lister(
                        (node, mapping) -> {
                            if (mapping.classFailure) {
                                refused.add(node);
                            } else {
                                found.add(mapping.root().engine, mapping.test);
                            }
                        });
        launcher.discover(request(tree, className).filters(lister).build());
        if (!refused.isEmpty()) {
            throw ClassCheck.refused(className, refused.get(0));
        }
        return found;
    }

    @Override
    public void close() throws Exception {
        session.close();
    }

    private LauncherDiscoveryRequestBuilder request(UnitTree tree, String className) {
        return LauncherDiscoveryRequestBuilder.request()
                .filters(tree)
                .filters(filters.toArray(new Filter<?>[0]))
                .selectors(DiscoverySelectors.selectClass(className));
    }

    private static boolean hasSessions() {
        try {
            Class.forName(
                    "org.junit.platform.launcher.LauncherSession",
                    false,
                    JUnitPlatform.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
