import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The JUnit Platform's launcher, asked about the classes that Gradle's useJUnitPlatform() selects.
 */
final class PlatformSource implements Oracle.Source {
    private final List<Listed> listed = new ArrayList<>();

    /** The platform's suites around the node that is being visited, outermost first. */
    private final List<String> suites = new ArrayList<>();

    @Override
    public List<Listed> list(List<Class<?>> classes) {
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request();
        for (Class<?> type : classes) {
            if (isSelected(type)) {
                request.selectors(DiscoverySelectors.selectClass(type));
            }
        }
        LauncherDiscoveryRequest built = request.build();
        TestPlan plan = LauncherFactory.create().discover(built);
        for (TestIdentifier engine : plan.getRoots()) {
            for (TestIdentifier child : plan.getChildren(engine)) {
                visit(plan, child, null, new ArrayList<>());
            }
        }
        return listed;
    }

    private static boolean isSelected(Class<?> type) {
        if (type.getEnclosingClass() == null) {
            return true;
        }
        if (!Modifier.isStatic(type.getModifiers())) {
            return false;
        }
        Class<?> outermost = type;
        while (outermost.getEnclosingClass() != null) {
            outermost = outermost.getEnclosingClass();
        }
        return !Listed.isRunBy(outermost, "org.junit.experimental.runners.Enclosed");
    }

    /**
     * @param name of the Jupiter class that is being visited
     * @param containers names of the classes around it, for JUnit 4
     */
    private void visit(TestPlan plan, TestIdentifier node, String name, List<String> containers) {
        List<UniqueId.Segment> segments = ofInnermostEngine(node);
        String engine = segments.get(0).getValue();
        UniqueId.Segment last = segments.get(segments.size() - 1);
        TestSource source = node.getSource().orElse(null);
        if (last.getType().equals("suite")) {
            suites.add(last.getValue());
            for (TestIdentifier child : plan.getChildren(node)) {
                for (TestIdentifier inEngine : plan.getChildren(child)) {
                    visit(plan, inEngine, null, new ArrayList<>());
                }
            }
            suites.remove(suites.size() - 1);
            return;
        }
        switch (engine) {
            case "junit-jupiter":
                jupiter(plan, node, last, source, name);
                return;
            case "junit-vintage":
                vintage(plan, node, last, source, containers);
                return;
            default:
                break;
        }
        if (!node.isTest() && !plan.getChildren(node).isEmpty() && !isSpockFeature(last)) {
            for (TestIdentifier child : plan.getChildren(node)) {
                visit(plan, child, name, containers);
            }
        } else if (engine.equals("spock")) {
            spock(segments, node);
        } else if (source instanceof MethodSource) {
            MethodSource method = (MethodSource) source;
            String className =
                    engine.equals("testng")
                            ? segments.get(1).getValue()
                            : topClass(segments, method);
            add(engine, className, signature(method));
        } else {
            add(engine, topClass(segments, source), node.getDisplayName());
        }
    }

    /** A suite runs other engines, whose ids begin after its own. */
    private static List<UniqueId.Segment> ofInnermostEngine(TestIdentifier node) {
        List<UniqueId.Segment> segments = UniqueId.parse(node.getUniqueId()).getSegments();
        int begin = segments.size() - 1;
        while (!segments.get(begin).getType().equals("engine")) {
            begin--;
        }
        return segments.subList(begin, segments.size());
    }

    private void add(String engine, String className, String method) {
        listed.add(new Listed(engine, className, method).in(suites));
    }

    private void jupiter(
            TestPlan plan,
            TestIdentifier node,
            UniqueId.Segment last,
            TestSource source,
            String name) {
        String type = last.getType();
        String className;
        if (type.equals("class") || type.equals("class-template")) {
            className = last.getValue();
        } else if (type.equals("nested-class") || type.equals("nested-class-template")) {
            className = name + "$" + last.getValue();
        } else {
            add("junit-jupiter", name, signature((MethodSource) source));
            return;
        }
        for (TestIdentifier child : plan.getChildren(node)) {
            visit(plan, child, className, new ArrayList<>());
        }
    }

    private void vintage(
            TestPlan plan,
            TestIdentifier node,
            UniqueId.Segment last,
            TestSource source,
            List<String> containers) {
        if (!plan.getChildren(node).isEmpty()) {
            List<String> around = new ArrayList<>(containers);
            around.add(
                    last.getType().equals("runner")
                            ? last.getValue()
                            : node.getLegacyReportingName());
            for (TestIdentifier child : plan.getChildren(node)) {
                visit(plan, child, null, around);
            }
            return;
        }
        String className =
                containers.isEmpty() ? last.getValue() : containers.get(containers.size() - 1);
        if (source instanceof MethodSource) {
            className = ((MethodSource) source).getClassName();
        } else if (source instanceof ClassSource) {
            className = ((ClassSource) source).getClassName();
        }
        listed.add(
                Listed.legacy("junit-vintage", containers, className, node.getLegacyReportingName())
                        .in(suites));
    }

    private static boolean isSpockFeature(UniqueId.Segment last) {
        return last.getType().equals("feature");
    }

    /**
     * A feature is named by its text, and belongs to the spec that is run, whichever spec declares
     * it.
     */
    private void spock(List<UniqueId.Segment> segments, TestIdentifier node) {
        add("spock", segments.get(1).getValue(), node.getDisplayName());
    }

    /**
     * The class that an engine was asked about; its own business when no part of the id names one.
     */
    private static String topClass(List<UniqueId.Segment> segments, TestSource source) {
        for (UniqueId.Segment segment : segments) {
            String type = segment.getType();
            if (type.equals("class")
                    || type.equals("suite")
                    || type.equals("runner")
                    || type.equals("spec")) {
                return segment.getValue();
            }
        }
        if (source instanceof MethodSource) {
            return ((MethodSource) source).getClassName();
        }
        return source instanceof ClassSource
                ? ((ClassSource) source).getClassName()
                : segments.get(segments.size() - 1).getValue();
    }

    private static String signature(MethodSource method) {
        return Listed.signature(method.getMethodName(), types(method.getMethodParameterTypes()));
    }

    private static final Map<String, Class<?>> PRIMITIVES =
            Map.of(
                    "boolean", boolean.class,
                    "byte", byte.class,
                    "char", char.class,
                    "short", short.class,
                    "int", int.class,
                    "long", long.class,
                    "float", float.class,
                    "double", double.class);

    private static Class<?>[] types(String names) {
        if (names == null || names.trim().isEmpty()) {
            return new Class<?>[0];
        }
        List<Class<?>> types = new ArrayList<>();
        for (String name : names.split(",")) {
            try {
                Class<?> primitive = PRIMITIVES.get(name.trim());
                types.add(
                        primitive != null
                                ? primitive
                                : Class.forName(
                                        name.trim(), false, PlatformSource.class.getClassLoader()));
            } catch (ClassNotFoundException e) {
                throw new IllegalStateException("the launcher names a type that is nowhere", e);
            }
        }
        return types.toArray(new Class<?>[0]);
    }
}
