package dev.testfleet.gradle.internal.describe;

import dev.testfleet.gradle.internal.Json;

import org.gradle.api.DefaultTask;
import org.gradle.api.file.ConfigurableFileCollection;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.SetProperty;
import org.gradle.api.tasks.Input;
import org.gradle.api.tasks.InputFiles;
import org.gradle.api.tasks.OutputFile;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.TaskAction;
import org.gradle.api.tasks.UntrackedTask;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;

/** Writes down which modules and files of repositories a project is built with. */
@UntrackedTask(because = "It writes down what the build knows already")
public abstract class DescribeDependenciesTask extends DefaultTask {
    /** Modules as {@code group:name:version}; also versions that lost against others. */
    @Input
    public abstract SetProperty<String> getModules();

    /** Their files. */
    @InputFiles
    @PathSensitive(PathSensitivity.NONE)
    public abstract ConfigurableFileCollection getFiles();

    /** The description. */
    @OutputFile
    public abstract RegularFileProperty getDocument();

    /**
     * Writes the description.
     *
     * @throws IOException when it cannot be written
     */
    @TaskAction
    public void describe() throws IOException {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("modules", new ArrayList<>(new TreeSet<>(getModules().get())));
        document.put("files", new ArrayList<>(new TreeSet<File>(getFiles().getFiles())));
        Json.write(document, getDocument().get().getAsFile().toPath());
    }
}
