import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

/** A test, named as Testfleet names it. */
final class Listed {
    private final String finder;
    private final String className;
    private final String method;

    Listed(String finder, String className, String method) {
        this.finder = finder;
        this.className = className;
        this.method = method;
    }

    /** {@code adds(int, java.lang.String[])} */
    static String signature(String name, Class<?>[] types) {
        List<String> names = new ArrayList<>();
        for (Class<?> type : types) {
            names.add(type.getTypeName());
        }
        return name + "(" + String.join(", ", names) + ")";
    }

    /**
     * A test of JUnit 3 or 4. A suite's tests are the suite's own; those of an Enclosed class keep
     * the names of the classes in it.
     *
     * @param containers names of what is around the test, outermost first; of those, classes count
     */
    static Listed legacy(String finder, List<String> containers, String className, String method) {
        String testClass = className;
        String test = withoutInvocation(className, method) + "()";
        for (int i = containers.size() - 1; i >= 0; i--) {
            Class<?> container = find(containers.get(i));
            if (container != null
                    && !container.getName().equals(testClass)
                    && !isRunBy(container, "org.junit.experimental.runners.Enclosed")) {
                test = testClass + "." + test;
                testClass = container.getName();
            }
        }
        return new Listed(finder, testClass, test);
    }

    /**
     * A test of the JUnit Platform's suites is theirs; what a suite class declares itself needs no
     * other class's name.
     *
     * @param suites outermost first
     */
    Listed in(List<String> suites) {
        String testClass = className;
        String test = method;
        for (int i = suites.size() - 1; i >= 0; i--) {
            if (!suites.get(i).equals(testClass)) {
                test = testClass + "." + test;
                testClass = suites.get(i);
            }
        }
        return new Listed(finder, testClass, test);
    }

    /**
     * {@code adds[2]}, {@code adds(2)} and {@code adds [a, b]} are invocations of {@code adds},
     * unless that is how the method is really called.
     */
    private static String withoutInvocation(String className, String method) {
        if (declares(className, method)) {
            return method;
        }
        for (char end : new char[] {'[', '(', ' '}) {
            int cut = method.indexOf(end);
            if (cut > 0 && declares(className, method.substring(0, cut))) {
                return method.substring(0, cut);
            }
        }
        int bracket = method.indexOf('[');
        return bracket > 0 ? method.substring(0, bracket) : method;
    }

    private static boolean declares(String className, String method) {
        for (Class<?> at = find(className); at != null; at = at.getSuperclass()) {
            for (Method declared : at.getDeclaredMethods()) {
                if (declared.getName().equals(method)) {
                    return true;
                }
            }
        }
        return false;
    }

    static boolean isRunBy(AnnotatedElement element, String runner) {
        for (java.lang.annotation.Annotation annotation : element.getAnnotations()) {
            if (annotation.annotationType().getName().equals("org.junit.runner.RunWith")) {
                // By its text: JUnit 4 need not be on the classpath.
                return annotation.toString().contains(runner);
            }
        }
        return false;
    }

    private static Class<?> find(String name) {
        try {
            return Class.forName(name, false, Listed.class.getClassLoader());
        } catch (ClassNotFoundException | LinkageError e) {
            return null;
        }
    }

    @Override
    public String toString() {
        return finder + "\t" + clean(className) + "\t" + clean(method);
    }

    /** A name may hold anything; a line of the list may not. */
    private static String clean(String text) {
        return text.replace("\\", "\\\\")
                .replace("\t", "\\t")
                .replace("\n", "\\n")
                .replace("\r", "\\r");
    }
}
