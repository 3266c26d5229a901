package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/** Images of a build, as users make them. */
class ImageTest {
    private static final String LAYOUT = "build/testfleet/image";

    @TempDir Path dir;

    @OnEveryGradle
    void afterAnEditOnlyTheChangedClassesAreMade(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("image", "--workers", "2")
                .says("Image localhost/testfleet/quickstart:bundle-");
        String first = digest(build);
        requireWhole(build.path(LAYOUT));

        build.succeeds("image", "--workers", "2").says("all of them there already");
        assertEquals(first, digest(build));

        Path test = firstTest(build);
        Files.writeString(test, Files.readString(test) + "\nclass Added {}\n");
        build.succeeds("image", "--workers", "2")
                .matches(": (\\d+) layers, .*; sha256:")
                .saysNot("all of them");
        assertFalse(first.equals(digest(build)));
        requireWhole(build.path(LAYOUT));
    }

    @Test
    void clonesElsewhereMakeTheSameImageAndNoTokenIsInIt() throws Exception {
        String token = "s3cr3t-" + Long.toHexString(System.nanoTime());
        GradleBuild one =
                GradleBuild.ofSample("quickstart", Gradles.NEWEST, dir.resolve("one"))
                        .environment("CI_TOKEN", token)
                        .environment("USER", "ann");
        GradleBuild two =
                GradleBuild.ofSample("quickstart", Gradles.NEWEST, dir.resolve("deep/er/two"))
                        .environment("CI_TOKEN", "another-" + token)
                        .environment("USER", "bob")
                        .environment("TZ", "Asia/Tokyo")
                        // Nothing is known there: the JDK is linked anew, too.
                        .environment("TESTFLEET_STORE", dir.resolve("store").toString());
        one.succeeds("image", "--workers", "2");
        two.succeeds("image", "--workers", "2").says("all of them new");
        assertEquals(digest(one), digest(two));
        for (File blob : GradleBuild.files(one.path(LAYOUT))) {
            assertFalse(text(blob).contains(token), "the token is in " + blob);
        }
    }

    @Test
    void whatLooksLikeACredentialIsRefusedUntilItIsAllowed() throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", Gradles.NEWEST, dir);
        build.file("src/test/resources/.npmrc", "//registry.example/:_authToken=hunter2\n");
        build.fails("image", "--workers", "2")
                .says(
                        "failed to make an image without secrets",
                        "build/resources/test/.npmrc looks like a login to an npm registry",
                        "allowedSecrets.add(")
                .saysNot("hunter2");
        assertFalse(Files.exists(build.path("build/testfleet/image.json")));
        build.file(
                "build.gradle",
                build.read("build.gradle")
                        + "\ntestfleet { image { allowedSecrets.add('**/.npmrc')\n"
                        + "  name = 'registry.example/team/app'; tags = ['one', '{build}-two']\n"
                        + "  perWorker = true; environment.put('TZ', 'UTC') } }\n");
        build.succeeds("image", "--workers", "2")
                .says("Image registry.example/team/app:one, quickstart-two: ", "for 2 workers");
        assertEquals(6, requireWhole(build.path(LAYOUT)), "two tags of each of three images");
    }

    @OnEveryGradle
    void optionsThatMakeNoSenseAreRefused(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        String script = build.read("build.gradle");
        String[][] cases = {
            {"compression = 'lzma'", "it is none of: auto, none, gzip, zstd"},
            {"to = ['moon']", "it is none of: registry, docker"},
            {"store { maxSize = 'much' }", "it is no number with K, M, G or T behind it"},
            {"base = 'a'; baseFile = file('b')", "both image.base and image.baseFile are set"},
        };
        for (String[] option : cases) {
            build.file("build.gradle", script + "\ntestfleet { image { " + option[0] + " } }\n");
            build.fails("image").says(option[1]);
        }
    }

    private static Path firstTest(GradleBuild build) throws IOException {
        for (File file : GradleBuild.files(build.path("src/test/java"))) {
            return file.toPath();
        }
        throw new IllegalStateException("the sample has no tests");
    }

    private static String digest(GradleBuild build) throws IOException {
        return only(
                build.read("build/testfleet/image.json"),
                "\"digest\": \"(sha256:\\w+)\",\n  \"configDigest\"");
    }

    private static String only(String text, String regex) {
        Matcher matcher = Pattern.compile(regex).matcher(text);
        assertTrue(matcher.find(), regex + " in " + text);
        return matcher.group(1);
    }

    /**
     * Each blob is what its name says, and each that a manifest names is there.
     *
     * @return how many images the index names
     */
    private static int requireWhole(Path layout) throws Exception {
        Path blobs = layout.resolve("blobs/sha256");
        for (File blob : GradleBuild.files(blobs)) {
            byte[] hash =
                    MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(blob.toPath()));
            StringBuilder hex = new StringBuilder();
            for (byte part : hash) {
                hex.append(String.format("%02x", part));
            }
            assertEquals(blob.getName(), hex.toString());
        }
        List<String> manifests = digests(Files.readString(layout.resolve("index.json")));
        for (String manifest : manifests) {
            List<String> needed = digests(Files.readString(blobs.resolve(manifest)));
            assertTrue(needed.size() > 3, needed.toString());
            needed.forEach(blob -> assertTrue(Files.exists(blobs.resolve(blob)), blob));
        }
        return manifests.size();
    }

    private static List<String> digests(String json) {
        return Pattern.compile("\"digest\":\"sha256:(\\w+)\"")
                .matcher(json)
                .results()
                .map(match -> match.group(1))
                .collect(java.util.stream.Collectors.toList());
    }

    /** The content of a blob, unpacked, byte by byte. */
    private static String text(File blob) throws IOException {
        byte[] bytes = Files.readAllBytes(blob.toPath());
        if (bytes.length > 1 && bytes[0] == 0x1f && bytes[1] == (byte) 0x8b) {
            try (InputStream in = new GZIPInputStream(new ByteArrayInputStream(bytes))) {
                bytes = in.readAllBytes();
            }
        }
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }
}
