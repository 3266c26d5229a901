package org.gradle.internal.compiler.java;

import com.sun.source.util.JavacTask;
import com.sun.source.util.TaskEvent;
import com.sun.source.util.TaskListener;

import java.io.File;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;

import javax.annotation.processing.Processor;
import javax.lang.model.element.TypeElement;
import javax.tools.JavaCompiler;

/**
 * Compiles, and tells Gradle which classes came from which source file.
 *
 * <p>Gradle's own class of this name also tells it which constants were inlined; this one doesn't,
 * so incremental compilation must be off.
 */
public class IncrementalCompileTask implements JavaCompiler.CompilationTask {
    private final JavacTask task;
    private final Function<File, Optional<String>> relativize;
    private final Consumer<String> backup;
    private final Consumer<Map<String, Set<String>>> classesBySource;

    /** Wraps javac's own task; the parameters are those that Gradle passes by reflection. */
    public IncrementalCompileTask(
            JavaCompiler.CompilationTask task,
            Function<File, Optional<String>> relativize,
            Consumer<String> backup,
            Consumer<Map<String, Set<String>>> classesBySource,
            BiConsumer<String, String> publicConstants,
            BiConsumer<String, String> privateConstants) {
        this.task = (JavacTask) task;
        this.relativize = relativize;
        this.backup = backup;
        this.classesBySource = classesBySource;
    }

    @Override
    public void setProcessors(Iterable<? extends Processor> processors) {
        task.setProcessors(processors);
    }

    @Override
    public void setLocale(Locale locale) {
        task.setLocale(locale);
    }

    @Override
    public void addModules(Iterable<String> names) {
        task.addModules(names);
    }

    @Override
    public Boolean call() {
        Map<String, Set<String>> found = new LinkedHashMap<>();
        task.addTaskListener(
                new TaskListener() {
                    @Override
                    public void started(TaskEvent event) {
                        record(event, found);
                    }
                });
        try {
            return task.call();
        } finally {
            classesBySource.accept(found);
        }
    }

    private void record(TaskEvent event, Map<String, Set<String>> found) {
        TypeElement type = event.getTypeElement();
        boolean writesClass = event.getKind() == TaskEvent.Kind.GENERATE && type != null;
        if (!writesClass || event.getSourceFile() == null) {
            return;
        }
        String name = task.getElements().getBinaryName(type).toString();
        backup.accept(name);
        relativize
                .apply(new File(event.getSourceFile().toUri()))
                .ifPresent(
                        source ->
                                found.computeIfAbsent(source, first -> new LinkedHashSet<>())
                                        .add(name));
    }
}
