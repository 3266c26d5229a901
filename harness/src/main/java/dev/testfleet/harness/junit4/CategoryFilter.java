package dev.testfleet.harness.junit4;

import org.junit.experimental.categories.Category;
import org.junit.runner.Description;

import java.util.ArrayList;
import java.util.List;

/** Which tests the included and excluded categories leave; a test's are its own and its class's. */
final class CategoryFilter {
    private final List<Class<?>> included;
    private final List<Class<?>> excluded;

    CategoryFilter(List<String> included, List<String> excluded) throws ClassNotFoundException {
        this.included = load(included);
        this.excluded = load(excluded);
    }

    boolean keeps(Description test) {
        if (included.isEmpty() && excluded.isEmpty()) {
            return true;
        }
        List<Class<?>> categories = new ArrayList<>();
        add(categories, test.getAnnotation(Category.class));
        if (test.getTestClass() != null) {
            add(categories, test.getTestClass().getAnnotation(Category.class));
        }
        return (included.isEmpty() || matches(categories, included))
                && !matches(categories, excluded);
    }

    private static void add(List<Class<?>> categories, Category annotation) {
        if (annotation != null) {
            for (Class<?> category : annotation.value()) {
                categories.add(category);
            }
        }
    }

    private static boolean matches(List<Class<?>> categories, List<Class<?>> wanted) {
        for (Class<?> category : categories) {
            for (Class<?> one : wanted) {
                if (one.isAssignableFrom(category)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static List<Class<?>> load(List<String> names) throws ClassNotFoundException {
        List<Class<?>> classes = new ArrayList<>();
        for (String name : names) {
            classes.add(Class.forName(name, false, CategoryFilter.class.getClassLoader()));
        }
        return classes;
    }
}
