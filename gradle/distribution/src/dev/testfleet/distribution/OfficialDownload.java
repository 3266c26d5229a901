package dev.testfleet.distribution;

import java.io.IOException;
import java.io.Reader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Whether Gradle's wrapper can download a distribution by itself. */
final class OfficialDownload {
    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final String SYSTEM_PROPERTY = "systemProp.";

    private OfficialDownload() {}

    /**
     * Why {@code url} can't be downloaded; empty when it can, or when the wrapper should try.
     *
     * @param gradleProperties where the user may have set a proxy for the wrapper
     */
    static Optional<String> obstacle(URI url, Path gradleProperties) throws IOException {
        if (!String.valueOf(url.getScheme()).startsWith("http")) {
            return Optional.empty();
        }
        applySystemProperties(gradleProperties);
        HttpClient client =
                HttpClient.newBuilder()
                        .connectTimeout(PATIENCE)
                        .followRedirects(HttpClient.Redirect.NORMAL)
                        .build();
        HttpRequest request =
                HttpRequest.newBuilder(url)
                        .method("HEAD", HttpRequest.BodyPublishers.noBody())
                        .build();
        try {
            int status =
                    client.sendAsync(request, HttpResponse.BodyHandlers.discarding())
                            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS)
                            .statusCode();
            // The wrapper may know a password for a mirror or a proxy that asks for one.
            boolean wrapperMayDoIt = status < 300 || status == 401 || status == 407;
            return wrapperMayDoIt
                    ? Optional.empty()
                    : Optional.of(url.getHost() + " answers with status " + status);
        } catch (ExecutionException unreachable) {
            return Optional.of(url.getHost() + " can't be reached");
        } catch (TimeoutException silent) {
            return Optional.of(url.getHost() + " doesn't answer");
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", interrupted);
        }
    }

    private static void applySystemProperties(Path gradleProperties) throws IOException {
        if (!Files.exists(gradleProperties)) {
            return;
        }
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(gradleProperties)) {
            properties.load(reader);
        }
        for (String key : properties.stringPropertyNames()) {
            if (key.startsWith(SYSTEM_PROPERTY)) {
                System.setProperty(
                        key.substring(SYSTEM_PROPERTY.length()), properties.getProperty(key));
            }
        }
    }
}
