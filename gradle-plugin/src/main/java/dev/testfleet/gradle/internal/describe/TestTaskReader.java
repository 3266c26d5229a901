package dev.testfleet.gradle.internal.describe;

import org.gradle.api.file.FileCollection;
import org.gradle.api.provider.Provider;
import org.gradle.api.provider.ProviderFactory;
import org.gradle.api.tasks.testing.Test;
import org.gradle.process.CommandLineArgumentProvider;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Connects the inputs of a {@link DescribeTestTask} to what its Test task says at last, once the
 * whole build is configured. None of them carries a dependency on the Test task itself: it does not
 * run.
 */
final class TestTaskReader {
    // What Gradle gives a test JVM when the build says nothing.
    private static final String DEFAULT_MAX_HEAP = "512m";

    private final ProviderFactory providers;
    private final Test test;

    TestTaskReader(ProviderFactory providers, Test test) {
        this.providers = providers;
        this.test = test;
    }

    void connect(DescribeTestTask task) {
        task.getTestTaskEnabled().set(value(Test::getEnabled));
        task.getUnsupported().set(value(test -> FrameworkOptions.unsupported(test.getOptions())));
        connectFiles(task);
        connectJvm(task);
        connectSelection(task);
        task.getJacocoFile().set(value(Coverage::file));
        task.getTestTaskTimeout().set(value(test -> test.getTimeout().getOrNull()));
        task.dependsOn((Callable<Object>) test::getDependsOn);
    }

    private void connectFiles(DescribeTestTask task) {
        task.getClassDirs().from(files(Test::getTestClassesDirs));
        task.getTestClasspath().from(files(Test::getClasspath));
        task.getBootClasspath().from(files(Test::getBootstrapClasspath));
        task.getDeclaredInputs().from(files(test -> test.getInputs().getFiles()));
        Provider<InputProperties> properties = value(InputProperties::of);
        task.getInputProperties().set(properties.map(InputProperties::texts));
        task.getPropertiesWithoutText().set(properties.map(InputProperties::withoutText));
    }

    private void connectJvm(DescribeTestTask task) {
        Provider<TestJvm> jvm = value(TestJvm::of);
        task.getJavaHome().set(jvm.map(TestJvm::home));
        task.getJavaVersion().set(jvm.map(TestJvm::version));
        task.getJvmArgs().set(value(test -> orEmpty(test.getJvmArgs())));
        task.getJvmArgumentProviders().set(value(TestTaskReader::ownProviders));
        task.getCoverageArguments().set(value(Coverage::arguments));
        task.getSystemProperties().set(value(test -> texts(test.getSystemProperties())));
        task.getEnvironment().set(value(test -> setByTheBuild(texts(test.getEnvironment()))));
        task.getWorkingDir().set(value(Test::getWorkingDir));
        task.getMinHeap().set(value(Test::getMinHeapSize));
        task.getMaxHeap().set(value(Test::getMaxHeapSize).orElse(DEFAULT_MAX_HEAP));
        task.getAssertions().set(value(Test::getEnableAssertions));
        task.getCharset().set(value(Test::getDefaultCharacterEncoding));
        task.getForkEvery().set(value(Test::getForkEvery));
    }

    private void connectSelection(DescribeTestTask task) {
        task.getFramework().set(value(test -> FrameworkOptions.document(test.getOptions())));
        task.getIncludes().set(value(Test::getIncludes));
        task.getExcludes().set(value(Test::getExcludes));
        task.getCandidateClassFiles().from(files(Test::getCandidateClassFiles));
        task.getScanForTestClasses().set(value(Test::isScanForTestClasses));
        task.getIncludeTests().set(value(test -> test.getFilter().getIncludePatterns()));
        task.getExcludeTests().set(value(test -> test.getFilter().getExcludePatterns()));
        task.getTestFailuresIgnored().set(value(Test::getIgnoreFailures));
    }

    private <T> Provider<T> value(Function<Test, T> reader) {
        return providers.provider(() -> reader.apply(test));
    }

    private Callable<FileCollection> files(Function<Test, FileCollection> reader) {
        return () -> reader.apply(test);
    }

    private static List<CommandLineArgumentProvider> ownProviders(Test test) {
        return test.getJvmArgumentProviders().stream()
                .filter(provider -> !Coverage.isProvider(provider))
                .collect(Collectors.toList());
    }

    private static List<String> orEmpty(List<String> list) {
        return list == null ? List.of() : list;
    }

    private static Map<String, String> texts(Map<String, Object> map) {
        Map<String, String> texts = new LinkedHashMap<>();
        map.forEach((name, value) -> texts.put(name, value == null ? "" : value.toString()));
        return texts;
    }

    // A Test task's environment is that of the Gradle call, secrets included, with the build's
    // changes. What is
    // compared with is the environment that any process started from here would get: unlike
    // System.getenv(), asking
    // for it does not make every variable an input of the configuration cache.
    private static Map<String, String> setByTheBuild(Map<String, String> environment) {
        Map<String, String> inherited = new ProcessBuilder().environment();
        return environment.entrySet().stream()
                .filter(entry -> !entry.getValue().equals(inherited.get(entry.getKey())))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
    }
}
