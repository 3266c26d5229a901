package dev.testfleet.harness;

import dev.testfleet.harness.report.Exceptions;

import java.lang.reflect.InvocationTargetException;

/** Finds a framework's adapter and checks that the framework itself is there. */
final class FrameworkLoader {
    private FrameworkLoader() {}

    static Framework load(String name, FrameworkOptions options) throws HarnessFault {
        switch (name) {
            case "junit-platform":
                require(
                        "org.junit.platform.launcher.core.LauncherFactory",
                        "failed to find the JUnit Platform launcher on the test class path",
                        "add testRuntimeOnly 'org.junit.platform:junit-platform-launcher' in the"
                                + " version that fits the engine");
                return open("junitplatform.JUnitPlatform", name, options);
            case "junit4":
                require(
                        "org.junit.runner.Request",
                        "failed to find JUnit 4 on the test class path",
                        "add testImplementation 'junit:junit:4.13.2', or useJUnitPlatform() when"
                                + " the tests are written for JUnit 5");
                return open("junit4.JUnit4", name, options);
            case "testng":
                require(
                        "org.testng.TestNG",
                        "failed to find TestNG on the test class path",
                        "add testImplementation 'org.testng:testng', or choose another framework"
                                + " for the Test task");
                return open("testng.TestNg", name, options);
            default:
                throw new HarnessFault(
                        "failed to find a test framework named " + name,
                        "junit-platform, junit4 and testng are known",
                        null);
        }
    }

    private static void require(String className, String message, String hint) throws HarnessFault {
        try {
            Class.forName(className, false, FrameworkLoader.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            throw new HarnessFault(message, hint, e);
        } catch (LinkageError e) {
            throw new HarnessFault(message + ": " + summary(e), hint, e);
        }
    }

    private static Framework open(String adapter, String name, FrameworkOptions options)
            throws HarnessFault {
        try {
            return (Framework)
                    Class.forName(FrameworkLoader.class.getPackage().getName() + "." + adapter)
                            .getConstructor(FrameworkOptions.class)
                            .newInstance(options);
        } catch (InvocationTargetException e) {
            throw fault(name, e.getCause());
        } catch (ReflectiveOperationException | LinkageError e) {
            throw fault(name, e);
        }
    }

    private static HarnessFault fault(String framework, Throwable cause) {
        if (cause instanceof HarnessFault) {
            return (HarnessFault) cause;
        }
        String hint =
                cause instanceof LinkageError
                        ? "jars of different versions of the framework are mixed on the test class"
                                + " path, or the framework needs a newer Java than "
                                + System.getProperty("java.version")
                        : "check the framework's jars on the test class path";
        return new HarnessFault(
                "failed to start " + framework + ": " + summary(cause), hint, cause);
    }

    private static String summary(Throwable thrown) {
        return thrown.getClass().getName() + ": " + Exceptions.message(thrown);
    }
}
