import org.testng.ISuite;
import org.testng.ISuiteListener;
import org.testng.ITestNGMethod;
import org.testng.TestNG;

import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;

/**
 * TestNG, asked about the classes that Gradle's useTestNG() hands it. It knows all methods when its
 * suite begins, and is stopped there. Factories have run by then: without them it can't tell.
 */
final class TestNgSource implements Oracle.Source {
    @Override
    public List<Listed> list(List<Class<?>> classes) {
        List<Class<?>> selected = new ArrayList<>();
        for (Class<?> type : classes) {
            if (!type.isInterface() && !Modifier.isAbstract(type.getModifiers())) {
                selected.add(type);
            }
        }
        Collector collector = new Collector();
        TestNG testNg = new TestNG(false);
        testNg.setVerbose(0);
        testNg.setTestClasses(selected.toArray(new Class<?>[0]));
        testNg.addListener((Object) collector);
        try {
            testNg.run();
        } catch (Listing expected) {
            return collector.listed;
        }
        throw new IllegalStateException("TestNG began no suite");
    }

    /** Ends TestNG's run before it has begun. */
    private static final class Listing extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private static final class Collector implements ISuiteListener {
        private final List<Listed> listed = new ArrayList<>();

        @Override
        public void onStart(ISuite suite) {
            for (ITestNGMethod method : suite.getAllMethods()) {
                Class<?> type =
                        method.getTestClass() == null
                                ? method.getRealClass()
                                : method.getTestClass().getRealClass();
                java.lang.reflect.Method code = method.getConstructorOrMethod().getMethod();
                listed.add(
                        new Listed(
                                "testng",
                                type.getName(),
                                Listed.signature(code.getName(), code.getParameterTypes())));
            }
            throw new Listing();
        }

        @Override
        public void onFinish(ISuite suite) {}
    }
}
