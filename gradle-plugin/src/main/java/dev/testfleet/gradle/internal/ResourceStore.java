package dev.testfleet.gradle.internal;

import org.gradle.api.logging.Logger;
import org.gradle.api.logging.Logging;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Files of the plugin's jar, laid out by content hash below {@code
 * GRADLE_USER_HOME/testfleet/native} so that processes can be started from them. Builds of several
 * plugin versions, and several builds at once, share the folder: a file appears there whole or not
 * at all. A folder that no build used for 30 days is removed.
 */
final class ResourceStore {
    private static final Logger LOGGER = Logging.getLogger(ResourceStore.class);
    private static final Duration KEPT_UNUSED = Duration.ofDays(30);
    private static final Pattern REMOVABLE = Pattern.compile("[0-9a-f]{64}|.*\\.tmp");

    private final Path dir;
    private final ClassLoader resources;

    ResourceStore(Path gradleUserHome, ClassLoader resources) {
        this.dir = gradleUserHome.resolve("testfleet").resolve("native");
        this.resources = resources;
    }

    /** Whether the jar has this resource. */
    boolean has(String resource) {
        return resources.getResource(resource) != null;
    }

    /**
     * The extracted file of a resource, executable by its owner.
     *
     * @throws IOException when it cannot be read or written
     */
    Path extract(String resource) throws IOException {
        String fileName = resource.substring(resource.lastIndexOf('/') + 1);
        Files.createDirectories(dir);
        Path unfinished = Files.createTempFile(dir, fileName, ".tmp");
        try {
            String sha256 = copy(resource, unfinished);
            Path extracted = dir.resolve(sha256).resolve(fileName);
            publish(unfinished, extracted);
            return extracted;
        } finally {
            Files.deleteIfExists(unfinished);
        }
    }

    private String copy(String resource, Path target) throws IOException {
        MessageDigest digest = sha256();
        try (InputStream in = resources.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("the plugin's jar has no " + resource);
            }
            Files.copy(
                    new DigestInputStream(in, digest), target, StandardCopyOption.REPLACE_EXISTING);
        }
        Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rwxr-xr-x"));
        StringBuilder hex = new StringBuilder();
        for (byte b : digest.digest()) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }

    /**
     * Marks extracted files as used, so that they stay for another 30 days.
     *
     * @return false when one of them is gone, so that all have to be extracted again
     * @throws IOException when the folder cannot be locked or written
     */
    boolean use(Path... extracted) throws IOException {
        if (!Files.isDirectory(dir)) {
            return false;
        }
        try (FileChannel channel = openLock()) {
            InterProcess.lock(channel);
            for (Path file : extracted) {
                if (!Files.isRegularFile(file)) {
                    return false;
                }
                touch(file.getParent());
            }
            return true;
        }
    }

    /**
     * Removes what no build used for 30 days: other versions of the plugin, and unfinished files of
     * builds that were killed. What cannot be removed stays.
     *
     * @throws IOException when the folder cannot be locked or read
     */
    void removeUnused() throws IOException {
        Instant oldest = Instant.now().minus(KEPT_UNUSED);
        try (FileChannel channel = openLock();
                Stream<Path> entries = Files.list(dir)) {
            InterProcess.lock(channel);
            for (Path entry : entries.collect(Collectors.toList())) {
                boolean removable = REMOVABLE.matcher(entry.getFileName().toString()).matches();
                if (removable && lastUsed(entry).isBefore(oldest)) {
                    remove(entry);
                }
            }
        }
    }

    // A file that is there already may be running in another build, so it is replaced only when it
    // is damaged.
    private void publish(Path unfinished, Path extracted) throws IOException {
        try (FileChannel channel = openLock()) {
            InterProcess.lock(channel);
            Files.createDirectories(extracted.getParent());
            if (!Files.exists(extracted) || Files.size(extracted) != Files.size(unfinished)) {
                Files.move(unfinished, extracted, StandardCopyOption.ATOMIC_MOVE);
            }
            touch(extracted.getParent());
        }
    }

    private FileChannel openLock() throws IOException {
        return FileChannel.open(
                dir.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }

    private static void touch(Path folder) throws IOException {
        Files.setLastModifiedTime(folder, FileTime.from(Instant.now()));
    }

    // An unfinished file of another build may be gone by now.
    private static Instant lastUsed(Path entry) throws IOException {
        try {
            return Files.getLastModifiedTime(entry).toInstant();
        } catch (NoSuchFileException gone) {
            return Instant.MAX;
        }
    }

    private static void remove(Path entry) {
        try (Stream<Path> files = Files.walk(entry)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).collect(Collectors.toList())) {
                Files.deleteIfExists(file);
            }
        } catch (IOException | UncheckedIOException e) {
            LOGGER.info("failed to remove {}, which no build used for 30 days", entry, e);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JVM has SHA-256", e);
        }
    }
}
