package dev.testfleet.harness.testng;

import dev.testfleet.harness.report.MethodNames;
import dev.testfleet.harness.report.Suites;
import dev.testfleet.harness.wire.TestName;

import org.testng.ITestContext;
import org.testng.ITestNGMethod;
import org.testng.ITestResult;
import org.testng.annotations.Parameters;
import org.testng.annotations.Test;
import org.testng.xml.XmlTest;

import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/** What can be known of TestNG's methods, in the versions 6 and 7 alike. */
final class TestNgMethods {
    private static final Set<Class<?>> INJECTED =
            new HashSet<>(
                    Arrays.<Class<?>>asList(
                            ITestContext.class,
                            XmlTest.class,
                            Method.class,
                            ITestResult.class,
                            Object[].class));

    private static final Method RETRY_ANALYZER = retryAnalyzer();

    private TestNgMethods() {}

    /** A test's name; those of other classes, which a factory makes, are the unit's, too. */
    static TestName name(ITestNGMethod method, String unitClass) {
        return Suites.NONE
                .with(unitClass)
                .own(
                        new TestName(
                                className(method),
                                MethodNames.of(method.getConstructorOrMethod().getMethod())));
    }

    /** The class that TestNG runs; the method may be inherited from another one. */
    static String className(ITestNGMethod method) {
        return method.getTestClass() == null
                ? method.getRealClass().getName()
                : method.getTestClass().getName();
    }

    /** Whether TestNG may call the method several times for one instance of its class. */
    static boolean mayRepeat(ITestNGMethod method) {
        if (method.getInvocationCount() > 1 || isRetried(method)) {
            return true;
        }
        Method code = method.getConstructorOrMethod().getMethod();
        if (hasDataProvider(code)) {
            return true;
        }
        for (Class<?> at = code.getDeclaringClass(); at != null; at = at.getSuperclass()) {
            if (hasDataProvider(at)) {
                return true;
            }
        }
        return false;
    }

    private static boolean hasDataProvider(AnnotatedElement element) {
        Test test = element.getAnnotation(Test.class);
        return test != null && !test.dataProvider().isEmpty();
    }

    /** Whether arguments show that a data provider is at work which no annotation names. */
    static boolean hasProvidedArguments(ITestResult result) {
        Method code = result.getMethod().getConstructorOrMethod().getMethod();
        if (result.getParameters().length == 0 || code.isAnnotationPresent(Parameters.class)) {
            return false;
        }
        for (Class<?> type : code.getParameterTypes()) {
            if (!INJECTED.contains(type)) {
                return true;
            }
        }
        return false;
    }

    /** Whether a failed attempt is followed by another one. */
    static boolean isRetried(ITestNGMethod method) {
        try {
            Object analyzer = RETRY_ANALYZER == null ? null : RETRY_ANALYZER.invoke(method);
            return analyzer != null && !analyzer.toString().endsWith(".DisabledRetryAnalyzer");
        } catch (ReflectiveOperationException e) {
            return false;
        }
    }

    /** As displayed: {@code adds[0](1, 2)}. */
    static String displayName(ITestResult result, int invocation) {
        StringBuilder text = new StringBuilder(result.getMethod().getMethodName());
        text.append('[').append(invocation).append("](");
        String separator = "";
        for (Object parameter : result.getParameters()) {
            text.append(separator).append(text(parameter));
            separator = ", ";
        }
        return text.append(')').toString();
    }

    private static String text(Object parameter) {
        try {
            return String.valueOf(parameter);
        } catch (Throwable hostile) {
            // The argument's toString() is test code.
            return parameter.getClass().getName();
        }
    }

    /** TestNG 7 asks for the analyzer's class, TestNG 6 for the analyzer. */
    private static Method retryAnalyzer() {
        for (String name : new String[] {"getRetryAnalyzerClass", "getRetryAnalyzer"}) {
            try {
                return ITestNGMethod.class.getMethod(name);
            } catch (NoSuchMethodException e) {
                continue;
            }
        }
        return null;
    }
}
