package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.report.UnitReport;

import org.junit.platform.engine.Filter;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.EngineFilter;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
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
        launcher.discover(request(new ArrayList<>()).build());
    }

    @Override
    public void run(UnitReport report) {
        Mapping.Mapper mapper = new Mapping.Mapper(report.unit().className, report::isPlanned);
        List<Filter<?>> all = new ArrayList<>();
        if (!report.unit().wholeClass) {
            all.add(new PlannedFilter(report, mapper));
        }
        LauncherDiscoveryRequest request =
                request(all)
                        .selectors(DiscoverySelectors.selectClass(report.unit().className))
                        .build();
        launcher.execute(request, new PlatformListener(report, mapper));
    }

    @Override
    public void close() throws Exception {
        session.close();
    }

    private LauncherDiscoveryRequestBuilder request(List<Filter<?>> more) {
        return LauncherDiscoveryRequestBuilder.request()
                .filters(filters.toArray(new Filter<?>[0]))
                .filters(more.toArray(new Filter<?>[0]));
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
