package dev.testfleet.gradle.internal.describe;

import org.gradle.api.tasks.testing.TestFrameworkOptions;
import org.gradle.api.tasks.testing.junit.JUnitOptions;
import org.gradle.api.tasks.testing.junitplatform.JUnitPlatformOptions;
import org.gradle.api.tasks.testing.testng.TestNGOptions;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A Test task's framework and its options as the {@code Framework} document. */
final class FrameworkOptions {
    private FrameworkOptions() {}

    static Map<String, Object> document(TestFrameworkOptions options) {
        Map<String, Object> document = new LinkedHashMap<>();
        if (options instanceof JUnitPlatformOptions) {
            JUnitPlatformOptions platform = (JUnitPlatformOptions) options;
            document.put("name", "junit-platform");
            document.put("includeTags", list(platform.getIncludeTags()));
            document.put("excludeTags", list(platform.getExcludeTags()));
            document.put("includeEngines", list(platform.getIncludeEngines()));
            document.put("excludeEngines", list(platform.getExcludeEngines()));
        } else if (options instanceof TestNGOptions) {
            TestNGOptions testNg = (TestNGOptions) options;
            document.put("name", "testng");
            document.put("includeGroups", list(testNg.getIncludeGroups()));
            document.put("excludeGroups", list(testNg.getExcludeGroups()));
            document.put("listeners", list(testNg.getListeners()));
            if (testNg.getParallel() != null) {
                document.put("parallel", testNg.getParallel());
            }
            document.put("threadCount", Math.max(0, testNg.getThreadCount()));
        } else if (options instanceof JUnitOptions) {
            JUnitOptions junit = (JUnitOptions) options;
            document.put("name", "junit4");
            document.put("includeCategories", list(junit.getIncludeCategories()));
            document.put("excludeCategories", list(junit.getExcludeCategories()));
        }
        return document;
    }

    /** What these options ask for that Testfleet cannot do, or null. */
    static String unsupported(TestFrameworkOptions options) {
        if (document(options).isEmpty()) {
            return "its test framework is none of JUnit Platform, JUnit 4 and TestNG";
        }
        if (options instanceof TestNGOptions) {
            TestNGOptions testNg = (TestNGOptions) options;
            if (!testNg.getSuiteXmlFiles().isEmpty() || testNg.getSuiteXmlWriter() != null) {
                return "it runs TestNG suite files, and Testfleet runs classes";
            }
        }
        return null;
    }

    private static List<String> list(Collection<String> names) {
        return new ArrayList<>(names);
    }
}
