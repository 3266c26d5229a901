package dev.testfleet.harness.testng;

import org.testng.IConfigurable;
import org.testng.IConfigureCallBack;
import org.testng.ITestNGMethod;
import org.testng.ITestResult;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs the configuration of TestNG's suite and test levels once in the life of the JVM, though each
 * unit is a suite for TestNG: before the first unit that has it, and after the last unit of all.
 */
final class SuiteConfigurationOnce implements IConfigurable {
    private final IConfigurable next;
    private final Map<Method, Outcome> before = new HashMap<>();
    private final Map<Method, Deferred> after = new LinkedHashMap<>();

    /**
     * @param next the project's own listener of this kind; may be null
     */
    SuiteConfigurationOnce(IConfigurable next) {
        this.next = next;
    }

    @Override
    public void run(IConfigureCallBack callBack, ITestResult result) {
        ITestNGMethod method = result.getMethod();
        Method code = method.getConstructorOrMethod().getMethod();
        if (method.isBeforeSuiteConfiguration() || method.isBeforeTestConfiguration()) {
            runFirst(code, callBack, result);
        } else if (method.isAfterSuiteConfiguration() || method.isAfterTestConfiguration()) {
            Deferred deferred =
                    new Deferred(
                            code,
                            result.getInstance(),
                            callBack.getParameters(),
                            method.isAfterSuiteConfiguration());
            synchronized (after) {
                after.put(code, deferred);
            }
        } else {
            proceed(callBack, result);
        }
    }

    private void runFirst(Method code, IConfigureCallBack callBack, ITestResult result) {
        synchronized (before) {
            Outcome outcome = before.get(code);
            if (outcome == null) {
                proceed(callBack, result);
                before.put(code, new Outcome(result.getThrowable()));
            } else if (outcome.thrown != null) {
                // What could not be set up for the first unit isn't there for this one either.
                SuiteConfigurationOnce.<RuntimeException>rethrow(outcome.thrown);
            }
        }
    }

    private void proceed(IConfigureCallBack callBack, ITestResult result) {
        if (next == null) {
            callBack.runConfigurationMethod(result);
        } else {
            next.run(callBack, result);
        }
    }

    /** Runs what was kept for the end: the test level first, then the suite level. */
    void close() throws Exception {
        Exception failure = null;
        for (boolean suiteLevel : new boolean[] {false, true}) {
            for (Deferred deferred : deferred(suiteLevel)) {
                try {
                    deferred.run();
                } catch (Exception e) {
                    if (failure == null) {
                        failure = e;
                    } else {
                        failure.addSuppressed(e);
                    }
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private List<Deferred> deferred(boolean suiteLevel) {
        List<Deferred> found = new ArrayList<>();
        synchronized (after) {
            for (Deferred deferred : after.values()) {
                if (deferred.suiteLevel == suiteLevel) {
                    found.add(deferred);
                }
            }
        }
        return found;
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void rethrow(Throwable thrown) throws T {
        throw (T) thrown;
    }

    private static final class Outcome {
        private final Throwable thrown;

        Outcome(Throwable thrown) {
            this.thrown = thrown;
        }
    }

    private static final class Deferred {
        private final Method code;
        private final Object instance;
        private final Object[] parameters;
        private final boolean suiteLevel;

        Deferred(Method code, Object instance, Object[] parameters, boolean suiteLevel) {
            this.code = code;
            this.instance = instance;
            this.parameters = parameters;
            this.suiteLevel = suiteLevel;
        }

        void run() throws Exception {
            code.setAccessible(true);
            try {
                code.invoke(instance, parameters);
            } catch (InvocationTargetException e) {
                throw new Exception("failed to run " + code, e.getCause());
            }
        }
    }
}
