package dev.testfleet.distribution;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * A jar on Maven Central, and what it must contain.
 *
 * @param sha256 of the jar's bytes, in hexadecimal
 */
record MavenJar(String sha256, String group, String artifact, String version) {
    private static final String COPY_DEPENDENCIES =
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";

    /** Reads a list with lines of the form {@code sha256 group:artifact:version}. */
    static List<MavenJar> readAll(Path list) throws IOException {
        List<MavenJar> jars = new ArrayList<>();
        for (String line : Files.readAllLines(list)) {
            String[] parts = line.split("[ :]+");
            if (parts.length != 4) {
                throw new IOException(list + " has a line that is no jar: " + line);
            }
            jars.add(new MavenJar(parts[0], parts[1], parts[2], parts[3]));
        }
        return jars;
    }

    /**
     * Downloads all {@code jars} into {@code folder}, without what they depend on, and checks them.
     */
    static Path downloadAll(List<MavenJar> jars, Path folder) throws IOException {
        Files.createDirectories(folder);
        Path pom = folder.resolveSibling("pom.xml");
        Files.writeString(pom, pom(jars));
        runMaven(pom, folder);
        for (MavenJar jar : jars) {
            String actual = sha256(folder.resolve(jar.fileName()));
            if (!actual.equals(jar.sha256)) {
                throw new IOException(
                        String.format(
                                "%s is not the expected file: its SHA-256 is %s instead of %s."
                                        + " Delete it from Maven's local repository and try again.",
                                jar.fileName(), actual, jar.sha256));
            }
        }
        return folder;
    }

    private String fileName() {
        return artifact + "-" + version + ".jar";
    }

    private static void runMaven(Path pom, Path folder) throws IOException {
        Path log = folder.resolveSibling("maven.log");
        String program = System.getProperty("os.name").startsWith("Windows") ? "mvn.cmd" : "mvn";
        int status;
        try {
            status =
                    new ProcessBuilder(
                                    program,
                                    "--batch-mode",
                                    "--quiet",
                                    "--file",
                                    pom.toString(),
                                    COPY_DEPENDENCIES,
                                    "-DoutputDirectory=" + folder)
                            .redirectErrorStream(true)
                            .redirectOutput(log.toFile())
                            .start()
                            .waitFor();
        } catch (IOException missing) {
            throw new IOException(
                    "Maven (mvn) is needed to download its parts, and could not be started ("
                            + missing.getMessage()
                            + "). Install Maven, or make the official distribution reachable.",
                    missing);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", interrupted);
        }
        if (status != 0) {
            throw new IOException("Maven could not download its parts:\n" + Files.readString(log));
        }
    }

    private static String pom(List<MavenJar> jars) {
        StringBuilder pom = new StringBuilder();
        pom.append("<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n")
                .append("<modelVersion>4.0.0</modelVersion>\n")
                .append("<groupId>dev.testfleet</groupId><artifactId>gradle</artifactId>\n")
                .append("<version>1</version><packaging>pom</packaging>\n<dependencies>\n");
        for (MavenJar jar : jars) {
            pom.append("<dependency><groupId>").append(jar.group);
            pom.append("</groupId><artifactId>").append(jar.artifact);
            pom.append("</artifactId><version>").append(jar.version);
            pom.append("</version><exclusions><exclusion><groupId>*</groupId>")
                    .append("<artifactId>*</artifactId></exclusion></exclusions></dependency>\n");
        }
        return pom.append("</dependencies>\n</project>\n").toString();
    }

    private static String sha256(Path file) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
                in.transferTo(OutputStream.nullOutputStream());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every Java has SHA-256", impossible);
        }
    }
}
