package dev.testfleet.harness.junit4;

import dev.testfleet.harness.junit4.UnitTests.Leaf;
import dev.testfleet.harness.wire.TestName;

import org.junit.runner.Description;
import org.junit.runner.manipulation.Filter;

import java.util.function.Predicate;

/** Keeps a unit's wanted tests, and of them what the categories leave. */
final class UnitFilter extends Filter {
    private final String unitClass;
    private final UnitTests tests;
    private final Predicate<TestName> wanted;
    private final CategoryFilter categories;

    UnitFilter(
            String unitClass,
            UnitTests tests,
            Predicate<TestName> wanted,
            CategoryFilter categories) {
        this.unitClass = unitClass;
        this.tests = tests;
        this.wanted = wanted;
        this.categories = categories;
    }

    @Override
    public boolean shouldRun(Description description) {
        if (UnitTests.isEmptyClass(description)) {
            // An ignored class lists no tests, and must be heard.
            return true;
        }
        if (description.isTest()) {
            boolean kept = categories.keeps(description);
            for (Leaf leaf : tests.leaves(description)) {
                if (leaf.classFailure || kept && wanted.test(leaf.test)) {
                    return true;
                }
            }
            return false;
        }
        for (Description child : description.getChildren()) {
            if (shouldRun(child)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public String describe() {
        return "planned tests of " + unitClass;
    }
}
