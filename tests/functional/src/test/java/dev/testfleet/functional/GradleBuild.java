package dev.testfleet.functional;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A build in a folder of its own, run by a real Gradle as a user runs it: its launcher script in a
 * process of its own, with the configuration cache on and deprecations as errors.
 */
final class GradleBuild {
    private static final Path SAMPLES = Path.of(System.getProperty("testfleet.samples"));
    private static final String REPOSITORY = System.getProperty("testfleet.pluginRepository");
    private static final String VERSION = System.getProperty("testfleet.version");
    private static final String THIS_CLONE = "    includeBuild '../..'";

    /** A daemon serves some dozens of small builds: the best compiler never pays for itself. */
    private static final String SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

    private final String gradleVersion;
    private final Path dir;
    private final Map<String, String> environment = new HashMap<>();
    private final List<String> arguments =
            new ArrayList<>(
                    List.of(
                            "--configuration-cache",
                            "--warning-mode=fail",
                            "--stacktrace",
                            "--console=plain",
                            "-Dorg.gradle.daemon.idletimeout=60000",
                            "-Dorg.gradle.jvmargs=-Xmx512m " + SHORT_LIVED));

    private GradleBuild(String gradleVersion, Path dir) {
        this.gradleVersion = gradleVersion;
        this.dir = dir;
    }

    /** A copy of a sample, with the plugin from the local repository instead of the clone. */
    static GradleBuild ofSample(String sample, String gradleVersion, Path dir) throws IOException {
        copy(SAMPLES.resolve(sample), dir);
        GradleBuild build = new GradleBuild(gradleVersion, dir);
        build.file("settings.gradle", build.withRepository(build.read("settings.gradle")));
        return build;
    }

    /** A build with one project, whose build script has the plugins 'java' and 'dev.testfleet'. */
    static GradleBuild ofOneProject(String gradleVersion, Path dir, String script)
            throws IOException {
        GradleBuild build = new GradleBuild(gradleVersion, dir);
        build.settings("rootProject.name = 'one'\n");
        build.file(
                "build.gradle",
                "plugins {\n    id 'java'\n    id 'dev.testfleet'\n}\n" + JUPITER + script);
        return build;
    }

    /** Puts JUnit Jupiter on the test classpath of a project with the plugin 'java'. */
    static final String JUPITER =
            "dependencies { testImplementation 'org.junit.jupiter:junit-jupiter:5.11.4' }\n"
                    + "tasks.named('test') { useJUnitPlatform() }\n";

    /** An empty build. */
    static GradleBuild empty(String gradleVersion, Path dir) {
        return new GradleBuild(gradleVersion, dir);
    }

    /** The settings script: the plugin's repository, Maven Central, and {@code script}. */
    void settings(String script) throws IOException {
        file(
                "settings.gradle",
                withRepository(
                                "pluginManagement {\n"
                                        + THIS_CLONE
                                        + "\n    repositories { mavenCentral() }\n}\n")
                        + "dependencyResolutionManagement { repositories { mavenCentral() } }\n"
                        + script);
    }

    private String withRepository(String settings) {
        if (!settings.contains(THIS_CLONE)) {
            throw new IllegalStateException("no line '" + THIS_CLONE + "' in:\n" + settings);
        }
        String plugins =
                Stream.of("dev.testfleet", "dev.testfleet.module", "dev.testfleet.settings")
                        .map(id -> "id '" + id + "' version '" + VERSION + "'")
                        .collect(Collectors.joining("; "));
        return settings.replaceFirst(
                THIS_CLONE + ".*",
                "    plugins { "
                        + plugins
                        + " }\n    repositories { maven { url = '"
                        + REPOSITORY
                        + "' } }");
    }

    /** The build's folder. */
    Path dir() {
        return dir;
    }

    /** A file of the build, by its path below the folder. */
    Path path(String path) {
        return dir.resolve(path);
    }

    /** Writes a file. */
    GradleBuild file(String path, String content) throws IOException {
        Path file = dir.resolve(path);
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
        return this;
    }

    /** Adds to the end of a file. */
    GradleBuild append(String path, String content) throws IOException {
        return file(path, read(path) + content);
    }

    /**
     * Writes a class {@code name} of the default package with JUnit Jupiter imported, in the test
     * sources.
     */
    GradleBuild jupiterTest(String name, String members) throws IOException {
        return file(
                "src/test/java/" + name + ".java",
                "import static org.junit.jupiter.api.Assertions.*;\n"
                        + "import org.junit.jupiter.api.*;\n"
                        + "class "
                        + name
                        + " {\n"
                        + members
                        + "\n}\n");
    }

    /** Content of a file. */
    String read(String path) throws IOException {
        return Files.readString(dir.resolve(path));
    }

    /** Sets a variable in the environment of the Gradle call. */
    GradleBuild environment(String name, String value) {
        environment.put(name, value);
        return this;
    }

    /** Adds an argument to every call that follows. */
    GradleBuild always(String argument) {
        arguments.add(argument);
        return this;
    }

    /** Runs Gradle and fails unless the build succeeds. */
    Outcome succeeds(String... tasksAndOptions) throws IOException, InterruptedException {
        return run(tasksAndOptions).requireExit(true);
    }

    /**
     * Runs Gradle's own tests: from 8 on, they deprecate a classpath without the JUnit Platform's
     * launcher.
     */
    Outcome gradleTestSucceeds() throws IOException, InterruptedException {
        List<String> strict = List.copyOf(arguments);
        arguments.remove("--warning-mode=fail");
        try {
            return succeeds("test");
        } finally {
            arguments.clear();
            arguments.addAll(strict);
        }
    }

    /** Runs Gradle and fails unless the build fails. */
    Outcome fails(String... tasksAndOptions) throws IOException, InterruptedException {
        return run(tasksAndOptions).requireExit(false);
    }

    private Outcome run(String... tasksAndOptions) throws IOException, InterruptedException {
        Process process = start(tasksAndOptions);
        String output;
        try (InputStream in = process.getInputStream()) {
            output = new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
        return new Outcome(output, process.waitFor(), List.of(tasksAndOptions));
    }

    /** Starts Gradle and returns its process, whose output holds the errors too. */
    Process start(String... tasksAndOptions) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Gradles.home(gradleVersion).resolve("bin/gradle").toString());
        command.addAll(arguments);
        command.addAll(List.of(tasksAndOptions));
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(dir.toFile()).redirectErrorStream(true);
        builder.environment().put("GRADLE_USER_HOME", Gradles.userHome());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        builder.environment().put("JAVA_OPTS", SHORT_LIVED);
        builder.environment().put("TESTFLEET_STORE", Gradles.userHome() + "/testfleet-store");
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        return process;
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.walkFileTree(
                from,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(
                            Path folder, BasicFileAttributes attributes) throws IOException {
                        String name = folder.getFileName().toString();
                        if (name.equals("build") || name.equals(".gradle")) {
                            return FileVisitResult.SKIP_SUBTREE;
                        }
                        Files.createDirectories(to.resolve(from.relativize(folder)));
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        Path target = to.resolve(from.relativize(file));
                        Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }

    /** All regular files below {@code dir}. */
    static List<File> files(Path dir) throws IOException {
        try (Stream<Path> paths = Files.walk(dir)) {
            return paths.filter(Files::isRegularFile)
                    .map(Path::toFile)
                    .collect(Collectors.toList());
        }
    }
}
