package dev.testfleet.gradle.internal;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * Files of the plugin's jar, laid out by content hash below {@code
 * GRADLE_USER_HOME/testfleet/native} so that processes can be started from them. Builds of several
 * plugin versions, and several builds at once, share the folder: a file appears there whole or not
 * at all.
 */
final class ResourceStore {
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

    // A file that is there already may be running in another build, so it is replaced only when it
    // is damaged.
    private void publish(Path unfinished, Path extracted) throws IOException {
        Path lockFile = dir.resolve("lock");
        try (FileChannel channel =
                FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            InterProcess.lock(channel);
            Files.createDirectories(extracted.getParent());
            if (!Files.exists(extracted) || Files.size(extracted) != Files.size(unfinished)) {
                Files.move(unfinished, extracted, StandardCopyOption.ATOMIC_MOVE);
            }
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
