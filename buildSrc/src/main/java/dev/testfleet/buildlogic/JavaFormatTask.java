package dev.testfleet.buildlogic;

import org.gradle.api.DefaultTask;
import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.tasks.Classpath;
import org.gradle.api.tasks.IgnoreEmptyDirectories;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.SkipWhenEmpty;
import org.gradle.process.ExecOperations;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;

import javax.inject.Inject;

/** What checking and applying the Java format have in common: how the formatter is run. */
public abstract class JavaFormatTask extends DefaultTask {
    private static final String MAIN_CLASS = "com.google.googlejavaformat.java.Main";

    // The formatter is built on javac's own parser.
    private static final List<String> JAVAC_PACKAGES =
            List.of("api", "code", "file", "parser", "tree", "util");

    /** Classpath of google-java-format. */
    @Classpath
    public abstract ConfigurableFileCollection getFormatter();

    /** Java files to format. */
    @InputFiles
    @SkipWhenEmpty
    @IgnoreEmptyDirectories
    @PathSensitive(PathSensitivity.RELATIVE)
    public abstract ConfigurableFileCollection getSources();

    /** Starts the formatter's JVM. */
    @Inject
    protected abstract ExecOperations getExecOperations();

    /** Runs the formatter over all sources with {@code options} and returns the files it names. */
    final List<String> runFormatter(String... options) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        getExecOperations()
                .javaexec(
                        java -> {
                            java.classpath(getFormatter());
                            java.getMainClass().set(MAIN_CLASS);
                            java.jvmArgs(
                                    JAVAC_PACKAGES.stream().map(JavaFormatTask::export).toList());
                            java.args("--aosp");
                            java.args(Stream.of(options).toList());
                            java.args(getSources().getFiles().stream().map(File::getPath).toList());
                            java.setStandardOutput(out);
                        });
        return out.toString(StandardCharsets.UTF_8).lines().toList();
    }

    private static String export(String javacPackage) {
        return "--add-exports=jdk.compiler/com.sun.tools.javac." + javacPackage + "=ALL-UNNAMED";
    }
}
