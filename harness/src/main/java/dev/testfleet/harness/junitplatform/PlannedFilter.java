package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.junitplatform.Mapping.Kind;
import dev.testfleet.harness.report.UnitReport;

import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.launcher.PostDiscoveryFilter;

/** Keeps the planned tests of a unit that is a part of its class. */
final class PlannedFilter implements PostDiscoveryFilter {
    private final UnitReport report;
    private final Mapping.Mapper mapper;

    PlannedFilter(UnitReport report, Mapping.Mapper mapper) {
        this.report = report;
        this.mapper = mapper;
    }

    @Override
    public FilterResult apply(TestDescriptor descriptor) {
        Mapping mapping = map(descriptor);
        // Classes, groups and invocations follow the methods that they hold or belong to.
        return FilterResult.includedIf(
                mapping.kind != Kind.METHOD
                        || mapping.classFailure
                        || report.isPlanned(mapping.test));
    }

    private Mapping map(TestDescriptor descriptor) {
        return mapper.map(
                descriptor.getParent().map(this::map).orElse(null),
                descriptor.getUniqueId(),
                descriptor.getSource().orElse(null),
                descriptor.getDisplayName(),
                descriptor.isTest());
    }
}
