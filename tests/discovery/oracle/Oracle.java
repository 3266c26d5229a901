import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Lists the tests of some classes as their framework itself finds them, without running any.
 *
 * <p>Arguments: {@code junit-platform}, {@code junit4} or {@code testng}; a file with one class
 * name a line, as Gradle would hand them over; the file to write, a line {@code finder, class,
 * method} for each test, sorted. It runs with the test classpath and this folder's classes on the
 * system class path, as a Gradle test worker does.
 *
 * <p>Prints {@code listedMs=N}: from the start of {@code main} until the framework has told all.
 */
public final class Oracle {
    private Oracle() {}

    /** A framework that can be asked. */
    interface Source {
        List<Listed> list(List<Class<?>> classes) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        long start = System.nanoTime();
        List<String> problems = new ArrayList<>();
        List<Class<?>> classes = load(Path.of(args[1]), problems);
        List<Listed> listed = source(args[0]).list(classes);
        long listedMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
        Files.write(Path.of(args[2]), lines(listed), StandardCharsets.UTF_8);
        problems.forEach(System.err::println);
        System.out.println("listedMs=" + listedMs);
        // Test code may have left threads behind.
        System.exit(0);
    }

    private static Source source(String framework) throws ReflectiveOperationException {
        String name;
        switch (framework) {
            case "junit-platform":
                name = "PlatformSource";
                break;
            case "junit4":
                name = "JUnit4Source";
                break;
            case "testng":
                name = "TestNgSource";
                break;
            default:
                throw new IllegalArgumentException(
                        framework + " is none of junit-platform, junit4, testng");
        }
        // By name: the other frameworks need not be on the classpath.
        return (Source) Class.forName(name).getDeclaredConstructor().newInstance();
    }

    private static List<Class<?>> load(Path names, List<String> problems) throws IOException {
        List<Class<?>> classes = new ArrayList<>();
        for (String name : Files.readAllLines(names, StandardCharsets.UTF_8)) {
            try {
                Class<?> type = Class.forName(name, false, Oracle.class.getClassLoader());
                type.getEnclosingClass();
                classes.add(type);
            } catch (ClassNotFoundException | LinkageError e) {
                problems.add(
                        "can't be loaded, so no framework is asked about it: " + name + ": " + e);
            }
        }
        return classes;
    }

    private static List<String> lines(List<Listed> listed) {
        List<String> lines = new ArrayList<>();
        for (Listed one : listed) {
            lines.add(one.toString());
        }
        lines.sort(null);
        return lines.stream().distinct().collect(java.util.stream.Collectors.toList());
    }
}
