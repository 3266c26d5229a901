package dev.testfleet.harness.testng;

import dev.testfleet.harness.wire.TestName;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

import org.testng.annotations.Test;
import org.testng.xml.XmlClass;
import org.testng.xml.XmlInclude;
import org.testng.xml.XmlSuite;
import org.testng.xml.XmlTest;

import java.lang.reflect.Method;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** A unit as the suite that TestNG runs. */
final class UnitSuite {
    private UnitSuite() {}

    /** All tests of a class. */
    static XmlSuite whole(Class<?> testClass) {
        return suite(new XmlClass(testClass));
    }

    static XmlSuite of(RunUnit unit, Class<?> testClass) {
        XmlClass selected = new XmlClass(testClass);
        if (!unit.wholeClass) {
            List<XmlInclude> included = new ArrayList<>();
            for (String method : methods(unit, testClass)) {
                included.add(new XmlInclude(method));
            }
            selected.setIncludedMethods(included);
        }
        return suite(selected);
    }

    private static XmlSuite suite(XmlClass selected) {
        XmlSuite suite = new XmlSuite();
        suite.setName("Testfleet suite");
        XmlTest test = new XmlTest(suite);
        test.setName("Testfleet test");
        test.setXmlClasses(new ArrayList<>(Collections.singletonList(selected)));
        return suite;
    }

    /** Names of the planned methods and of those that they depend on: TestNG insists on these. */
    private static Set<String> methods(RunUnit unit, Class<?> testClass) {
        Set<String> names = new LinkedHashSet<>();
        Deque<String> open = new ArrayDeque<>();
        for (TestName test : unit.tests) {
            open.add(test.method.substring(0, test.method.lastIndexOf('(')));
        }
        List<Method> candidates = candidates(testClass);
        while (!open.isEmpty()) {
            String name = open.remove();
            if (names.add(name)) {
                for (Method method : candidates) {
                    if (method.getName().equals(name)) {
                        open.addAll(dependencies(method, testClass, candidates));
                    }
                }
            }
        }
        return names;
    }

    private static List<Method> candidates(Class<?> testClass) {
        List<Method> methods = new ArrayList<>();
        for (Class<?> at = testClass; at != null && at != Object.class; at = at.getSuperclass()) {
            methods.addAll(Arrays.asList(at.getDeclaredMethods()));
        }
        return methods;
    }

    private static List<String> dependencies(
            Method method, Class<?> testClass, List<Method> candidates) {
        List<String> names = new ArrayList<>();
        for (Test test : annotations(method, testClass)) {
            for (Method candidate : candidates) {
                if (dependsOn(test, candidate, testClass)) {
                    names.add(candidate.getName());
                }
            }
        }
        return names;
    }

    private static boolean dependsOn(Test test, Method candidate, Class<?> testClass) {
        for (String pattern : test.dependsOnMethods()) {
            String name = candidate.getName();
            if (name.matches(pattern)
                    || (candidate.getDeclaringClass().getName() + "." + name).matches(pattern)) {
                return true;
            }
        }
        for (String pattern : test.dependsOnGroups()) {
            for (Test other : annotations(candidate, testClass)) {
                for (String group : other.groups()) {
                    if (group.matches(pattern)) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    /** The annotations that hold for a method: its own, its class's and the unit's class's. */
    private static List<Test> annotations(Method method, Class<?> testClass) {
        List<Test> found = new ArrayList<>();
        for (Test test :
                new Test[] {
                    method.getAnnotation(Test.class),
                    method.getDeclaringClass().getAnnotation(Test.class),
                    testClass.getAnnotation(Test.class)
                }) {
            if (test != null && !found.contains(test)) {
                found.add(test);
            }
        }
        return found;
    }
}
