package dev.testfleet.buildlogic;

import org.gradle.api.DefaultTask;
import org.gradle.api.GradleException;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.file.FileSystemOperations;
import org.gradle.api.tasks.InputDirectory;
import org.gradle.api.tasks.OutputDirectory;
import org.gradle.api.tasks.PathSensitive;
import org.gradle.api.tasks.PathSensitivity;
import org.gradle.api.tasks.TaskAction;
import org.gradle.work.DisableCachingByDefault;

import java.io.File;

import javax.inject.Inject;

/** Takes native binaries that were built elsewhere, for one platform or for several. */
@DisableCachingByDefault(because = "It only copies")
public abstract class PrebuiltNative extends DefaultTask {
    /** A folder with one folder {@code <os>-<arch>} for each platform. */
    @InputDirectory
    @PathSensitive(PathSensitivity.RELATIVE)
    public abstract DirectoryProperty getSource();

    /** Where the binaries go: {@code native/<os>-<arch>/} as {@link CargoBuild} does it. */
    @OutputDirectory
    public abstract DirectoryProperty getOutput();

    /** Copies the files. */
    @Inject
    protected abstract FileSystemOperations getFileSystemOperations();

    /** Copies the binaries of every platform. */
    @TaskAction
    public void copy() {
        File source = getSource().get().getAsFile();
        File[] platforms = source.listFiles(PrebuiltNative::isPlatform);
        if (platforms == null || platforms.length == 0) {
            throw new GradleException(
                    "failed to find native binaries in "
                            + source
                            + ": expected folders such as linux-x86_64, each with the shared"
                            + " library and testfleet-agent.");
        }
        getFileSystemOperations()
                .sync(
                        sync -> {
                            for (File platform : platforms) {
                                sync.from(platform, files -> files.into(platform.getName()));
                            }
                            sync.into(getOutput().dir("native"));
                        });
    }

    private static boolean isPlatform(File folder) {
        String[] agent = folder.list((parent, name) -> name.matches("testfleet-agent(\\.exe)?"));
        String[] library =
                folder.list((parent, name) -> name.matches("(lib)?testfleet\\.(so|dylib|dll)"));
        return agent != null && agent.length == 1 && library != null && library.length == 1;
    }
}
