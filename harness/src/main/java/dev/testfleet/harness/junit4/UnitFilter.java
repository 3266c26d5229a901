package dev.testfleet.harness.junit4;

import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.UnitReport;

import org.junit.runner.Description;
import org.junit.runner.manipulation.Filter;

import java.util.ArrayList;
import java.util.List;

/** Keeps a unit's planned tests, and of them what the categories leave. */
final class UnitFilter extends Filter {
    private final UnitReport report;
    private final CategoryFilter categories;

    UnitFilter(UnitReport report, CategoryFilter categories) {
        this.report = report;
        this.categories = categories;
    }

    @Override
    public boolean shouldRun(Description description) {
        return shouldRun(description, new ArrayList<String>());
    }

    private boolean shouldRun(Description description, List<String> groups) {
        if (UnitTests.isEmptyClass(description)) {
            // An ignored class lists no tests, and must be heard.
            return true;
        }
        if (description.isTest()) {
            LegacyNames names = UnitTests.names(description, groups, report);
            return names.classFailure
                    || (categories.keeps(description)
                            && (report.unit().wholeClass || report.isPlanned(names.test)));
        }
        List<String> below = new ArrayList<>(groups);
        below.add(0, description.getDisplayName());
        for (Description child : description.getChildren()) {
            if (shouldRun(child, below)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public String describe() {
        return "planned tests of " + report.unit().className;
    }
}
