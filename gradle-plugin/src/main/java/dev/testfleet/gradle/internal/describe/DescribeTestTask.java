package dev.testfleet.gradle.internal.describe;

import dev.testfleet.gradle.internal.Failures;
import dev.testfleet.gradle.internal.Json;

import org.gradle.api.DefaultTask;
import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.file.FileCollection;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.tasks.Classpath;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.Internal;
import org.gradle.api.tasks.Nested;
import org.gradle.api.tasks.Optional;
import org.gradle.api.tasks.OutputFile;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.TaskAction;
import org.gradle.api.tasks.UntrackedTask;
import org.gradle.process.CommandLineArgumentProvider;

import java.io.File;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * Writes down what one Test task says, as the {@code TestTask} document that is part of a run's
 * request. Its inputs carry the task's dependencies, so that whoever reads the document finds the
 * classes compiled.
 */
@UntrackedTask(
        because = "It writes down what the build knows already; comparing inputs would take longer")
public abstract class DescribeTestTask extends DefaultTask {
    /** Path of the Test task. */
    @Input
    public abstract Property<String> getTestTaskPath();

    /** Whether the Test task is enabled; one that is not has no tests to run. */
    @Input
    public abstract Property<Boolean> getTestTaskEnabled();

    /** What the task asks for that Testfleet cannot do; absent when there is no such thing. */
    @Input
    @Optional
    public abstract Property<String> getUnsupported();

    /** Class directories. */
    @Classpath
    public abstract ConfigurableFileCollection getClassDirs();

    /** Runtime classpath in order. */
    @Classpath
    public abstract ConfigurableFileCollection getTestClasspath();

    /** What is prepended to the JVM's own classes. */
    @Classpath
    public abstract ConfigurableFileCollection getBootClasspath();

    /** Launcher of the JUnit Platform where the classpath has none. */
    @Classpath
    public abstract ConfigurableFileCollection getLauncherClasspath();

    /** All inputs that the task declares, classpath and classes included. */
    @InputFiles
    @PathSensitive(PathSensitivity.ABSOLUTE)
    public abstract ConfigurableFileCollection getDeclaredInputs();

    /** What the task declares with {@code inputs.property}, as text. */
    @Input
    public abstract MapProperty<String, String> getInputProperties();

    /** What it declares so that has no text by which it could be compared. */
    @Input
    public abstract ListProperty<String> getPropertiesWithoutText();

    /** Home of the task's JVM. */
    @Input
    public abstract Property<String> getJavaHome();

    /** Feature release of the task's JVM. */
    @Input
    public abstract Property<Integer> getJavaVersion();

    /** JVM arguments that the task itself says. */
    @Input
    public abstract ListProperty<String> getJvmArgs();

    /** More JVM arguments, known when the task runs. */
    @Nested
    public abstract ListProperty<CommandLineArgumentProvider> getJvmArgumentProviders();

    /** What makes a JVM measure coverage; it names files of this machine. */
    @Internal
    public abstract ListProperty<String> getCoverageArguments();

    /** System properties. */
    @Input
    public abstract MapProperty<String, String> getSystemProperties();

    /** What the build set in the environment. */
    @Input
    public abstract MapProperty<String, String> getEnvironment();

    /** Where the JVM runs. */
    @Internal
    public abstract Property<File> getWorkingDir();

    /** {@code -Xms} value. */
    @Input
    @Optional
    public abstract Property<String> getMinHeap();

    /** {@code -Xmx} value. */
    @Input
    public abstract Property<String> getMaxHeap();

    /** {@code -ea} */
    @Input
    public abstract Property<Boolean> getAssertions();

    /** {@code -Dfile.encoding} */
    @Input
    @Optional
    public abstract Property<String> getCharset();

    /** Restart the JVM after this many classes; 0 is never. */
    @Input
    public abstract Property<Long> getForkEvery();

    /** The {@code Framework} document. */
    @Input
    public abstract MapProperty<String, Object> getFramework();

    /** Which class files are looked at. */
    @Input
    public abstract ListProperty<String> getIncludes();

    /** Which class files are not looked at. */
    @Input
    public abstract ListProperty<String> getExcludes();

    /** The class files that patterns, specs and closures leave. */
    @Internal
    public abstract ConfigurableFileCollection getCandidateClassFiles();

    /** Whether class files are looked into. */
    @Input
    public abstract Property<Boolean> getScanForTestClasses();

    /** Patterns of tests, one of which must match. */
    @Input
    public abstract ListProperty<String> getIncludeTests();

    /** Patterns of tests, none of which may match. */
    @Input
    public abstract ListProperty<String> getExcludeTests();

    /** Whether bad tests are only reported. */
    @Input
    public abstract Property<Boolean> getTestFailuresIgnored();

    /** Where JaCoCo's data of the task goes; absent when none is gathered. */
    @Internal
    public abstract Property<File> getJacocoFile();

    /** How long the task may take at most. */
    @Input
    @Optional
    public abstract Property<Duration> getTestTaskTimeout();

    /** The document. */
    @OutputFile
    public abstract RegularFileProperty getDocument();

    /**
     * Writes the document.
     *
     * @throws IOException when it cannot be written
     */
    @TaskAction
    public void describe() throws IOException {
        if (getUnsupported().isPresent() && getTestTaskEnabled().get()) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to describe the Test task " + getTestTaskPath().get(),
                    getUnsupported().get(),
                    "leave the task to Gradle: testfleet { testTasks } names those that Testfleet"
                            + " runs");
        }
        Map<String, Object> content = content();
        Json.write(content, getDocument().get().getAsFile().toPath());
        if (getTestTaskEnabled().get()) {
            warnOfCopiedSecrets(content);
        }
    }

    @SuppressWarnings("unchecked")
    private void warnOfCopiedSecrets(Map<String, Object> content) {
        CopiedSecrets copied = new CopiedSecrets(System.getenv());
        String path = getTestTaskPath().get();
        Stream.of(
                        copied.warnings(
                                path,
                                "environment variable",
                                (Map<String, String>) content.get("environment")),
                        copied.warnings(
                                path,
                                "system property",
                                (Map<String, String>) content.get("systemProperties")),
                        copied.warnings(path, (List<String>) content.get("jvmArgs")))
                .flatMap(List::stream)
                .forEach(getLogger()::lifecycle);
    }

    private Map<String, Object> content() {
        Map<String, Object> task = new LinkedHashMap<>();
        List<File> classDirs = existing(getClassDirs());
        List<File> classpath = existing(getTestClasspath());
        task.put("path", getTestTaskPath().get());
        task.put("enabled", getTestTaskEnabled().get());
        task.put("classDirs", classDirs);
        task.put("classpath", classpath);
        task.put("launcherClasspath", files(getLauncherClasspath()));
        task.put("java", Map.of("home", getJavaHome().get(), "version", getJavaVersion().get()));
        putJvm(task);
        task.put("environment", new TreeMap<>(getEnvironment().get()));
        task.put("workingDir", getWorkingDir().get());
        task.put("forkEvery", getForkEvery().get());
        task.put("framework", getFramework().get());
        task.put("includes", getIncludes().get());
        task.put("excludes", excludes());
        task.put("scanForTestClasses", getScanForTestClasses().get());
        task.put("includeTests", getIncludeTests().get());
        task.put("excludeTests", getExcludeTests().get());
        task.put("declaredInputs", furtherInputs(classDirs, classpath));
        task.put("inputProperties", new TreeMap<>(getInputProperties().get()));
        task.put("propertiesWithoutText", getPropertiesWithoutText().get());
        task.put("ignoreFailures", getTestFailuresIgnored().get());
        task.put("jacocoFile", getJacocoFile().getOrNull());
        task.put("timeoutMs", getTestTaskTimeout().map(Duration::toMillis).getOrNull());
        return task;
    }

    // Specs and closures can't be written down; what they leave out can.
    private List<String> excludes() {
        Set<File> candidates = getCandidateClassFiles().getFiles();
        Set<String> leftOut = new TreeSet<>();
        getClassDirs()
                .getAsFileTree()
                .matching(
                        patterns ->
                                patterns.include(getIncludes().get()).exclude(getExcludes().get()))
                .visit(
                        file -> {
                            if (!file.isDirectory() && !candidates.contains(file.getFile())) {
                                leftOut.add(file.getRelativePath().getPathString());
                            }
                        });
        List<String> excludes = new ArrayList<>(getExcludes().get());
        excludes.addAll(leftOut);
        return excludes;
    }

    private void putJvm(Map<String, Object> task) {
        Map<String, String> properties = new TreeMap<>(locale());
        properties.putAll(getSystemProperties().get());
        task.put("minHeap", getMinHeap().getOrNull());
        task.put("maxHeap", getMaxHeap().get());
        task.put("enableAssertions", getAssertions().get());
        task.put("defaultCharset", getCharset().getOrElse(Charset.defaultCharset().name()));
        List<String> arguments = new ArrayList<>(getJvmArgs().get());
        String bootClasspath = getBootClasspath().getAsPath();
        if (!bootClasspath.isEmpty()) {
            arguments.add("-Xbootclasspath/a:" + bootClasspath);
        }
        List<String> provided =
                getJvmArgumentProviders().get().stream()
                        .flatMap(it -> StreamSupport.stream(it.asArguments().spliterator(), false))
                        .collect(Collectors.toList());
        arguments.addAll(JvmArguments.distribute(provided, task, properties));
        arguments.addAll(getCoverageArguments().get());
        task.put("jvmArgs", arguments);
        task.put("systemProperties", properties);
    }

    // Gradle starts every test JVM with its own encoding and locale unless the build says
    // otherwise.
    private static Map<String, String> locale() {
        Locale locale = Locale.getDefault();
        return Map.of(
                "user.language", locale.getLanguage(),
                "user.country", locale.getCountry(),
                "user.variant", locale.getVariant());
    }

    private List<File> furtherInputs(List<File> classDirs, List<File> classpath) {
        Set<File> known = getLauncherClasspath().plus(getBootClasspath()).getFiles();
        return getDeclaredInputs().getFiles().stream()
                .filter(File::exists)
                .filter(file -> !known.contains(file) && !classpath.contains(file))
                .filter(file -> classDirs.stream().noneMatch(dir -> isIn(file, dir)))
                .sorted()
                .collect(Collectors.toList());
    }

    private static boolean isIn(File file, File dir) {
        Path path = file.toPath();
        return path.startsWith(dir.toPath());
    }

    private static List<File> files(FileCollection collection) {
        return new ArrayList<>(collection.getFiles());
    }

    // A module without classes or resources of its own still has their folders on its classpath. A
    // missing jar
    // stays in the list: that is an error, and the engine says so.
    private static List<File> existing(FileCollection collection) {
        return collection.getFiles().stream()
                .filter(file -> file.exists() || file.getName().matches(".*\\.(jar|zip)"))
                .collect(Collectors.toList());
    }
}
