package dev.testfleet.distribution;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;

/**
 * Fills the place where Gradle's wrapper looks for a distribution, unless the wrapper can do that
 * by itself.
 */
public final class Main {
    /** Exit code when the official distribution can be downloaded, so that nothing was done. */
    private static final int URL_IS_REACHABLE = 3;

    private final String version;
    private final URI url;
    private final Path place;
    private final List<MavenJar> jars;
    private final Path standIns;
    private final String recipe;

    private Main(
            String version,
            URI url,
            Path place,
            List<MavenJar> jars,
            Path standIns,
            String recipe) {
        this.version = version;
        this.url = url;
        this.place = place;
        this.jars = jars;
        this.standIns = standIns;
        this.recipe = recipe;
    }

    /**
     * Fills the place, or ends with {@link #URL_IS_REACHABLE}.
     *
     * @param arguments version, URL of the official distribution, the wrapper's place for it,
     *     Gradle user home, list of jars, folder of the stand-ins, checksum of all that a home is
     *     made from
     */
    public static void main(String[] arguments) {
        try {
            URI url = URI.create(arguments[1]);
            Optional<String> obstacle =
                    OfficialDownload.obstacle(
                            url, Path.of(arguments[3]).resolve("gradle.properties"));
            if (obstacle.isEmpty()) {
                System.exit(URL_IS_REACHABLE);
            }
            new Main(
                            arguments[0],
                            url,
                            Path.of(arguments[2]).toAbsolutePath(),
                            MavenJar.readAll(Path.of(arguments[4])),
                            Path.of(arguments[5]),
                            arguments[6])
                    .install(obstacle.get());
            System.exit(0); // a name look-up that never ends must not keep the program alive
        } catch (IOException | IllegalStateException failure) {
            System.err.println(
                    "error: failed to put Gradle "
                            + arguments[0]
                            + " together: "
                            + failure.getMessage());
            System.exit(1);
        }
    }

    private void install(String obstacle) throws IOException {
        String zip = Path.of(url.getPath()).getFileName().toString();
        Path marker = place.resolve(zip + ".ok");
        Path stamp = place.resolve(zip + ".assembled");
        Files.createDirectories(place);
        // The wrapper's own lock file: a wrapper that starts meanwhile, say in an IDE, waits.
        Path lockFile = place.resolve(zip + ".lck");
        try (FileChannel channel =
                        FileChannel.open(
                                lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock lock = lock(channel)) {
            if (Files.exists(marker) && (!Files.exists(stamp) || isCurrent(stamp))) {
                return;
            }
            Files.deleteIfExists(marker);
            System.err.printf(
                    "Gradle %s can't be downloaded here (%s); putting it together from Maven"
                            + " Central, once (about a minute)%n",
                    version, obstacle);
            assemble();
            Files.writeString(stamp, recipe);
            Files.createFile(marker);
            System.err.printf("Gradle %s is ready in %s%n", version, place);
        }
    }

    private boolean isCurrent(Path stamp) throws IOException {
        return Files.readString(stamp).equals(recipe);
    }

    private FileLock lock(FileChannel channel) throws IOException {
        FileLock lock = channel.tryLock();
        if (lock == null) {
            System.err.printf("Waiting for another process that installs Gradle %s%n", version);
            lock = channel.lock();
        }
        return lock;
    }

    private void assemble() throws IOException {
        // Beside the wrapper's place, not in it: the wrapper insists on finding a single folder.
        Path work = place.resolveSibling(place.getFileName() + ".assembling");
        Path finished = place.resolve("gradle-" + version);
        FileTrees.delete(work);
        FileTrees.delete(finished);
        Path downloads = MavenJar.downloadAll(jars, work.resolve("jars"));
        Path home = work.resolve("home");
        new GradleHome(version, downloads, standIns).write(home);
        Files.move(home, finished, StandardCopyOption.ATOMIC_MOVE);
        FileTrees.delete(work);
    }
}
