package dev.testfleet.functional;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;

import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A Maven repository over HTTP that counts what is fetched. It has the plugin and whatever the
 * tests' own Gradle home has downloaded.
 */
final class MavenServer implements AutoCloseable {
    private static final Path PLUGIN = Path.of(System.getProperty("testfleet.pluginRepository"));
    private static final Path DOWNLOADED =
            Path.of(Gradles.userHome(), "caches", "modules-2", "files-2.1");

    private final HttpServer server;
    private final ExecutorService threads = Executors.newFixedThreadPool(4);
    private final AtomicLong bytes = new AtomicLong();
    private final List<String> fetched = new CopyOnWriteArrayList<>();

    MavenServer() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::answer);
        server.setExecutor(threads);
        server.start();
    }

    /** A repository of a build script. */
    String repository() {
        return "maven { url = 'http://127.0.0.1:"
                + server.getAddress().getPort()
                + "/'; allowInsecureProtocol = true }";
    }

    /** Bytes of all files that were fetched since it was asked last. */
    long bytes() {
        return bytes.getAndSet(0);
    }

    /** Paths of the files that were fetched since it was asked last, but for checksums. */
    List<String> fetched() {
        List<String> paths = List.copyOf(fetched);
        fetched.clear();
        return paths;
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath().substring(1);
        boolean isChecksum = path.endsWith(".sha1");
        Path file = find(isChecksum ? path.substring(0, path.length() - 5) : path);
        try (exchange) {
            if (file == null) {
                exchange.sendResponseHeaders(404, -1);
                return;
            }
            byte[] content = Files.readAllBytes(file);
            if (isChecksum) {
                content = sha1(content).getBytes(StandardCharsets.US_ASCII);
            }
            if (exchange.getRequestMethod().equals("HEAD")) {
                exchange.getResponseHeaders().set("Content-Length", "" + content.length);
                exchange.sendResponseHeaders(200, -1);
                return;
            }
            bytes.addAndGet(content.length);
            if (!isChecksum) {
                fetched.add(path);
            }
            exchange.sendResponseHeaders(200, content.length);
            exchange.getResponseBody().write(content);
        }
    }

    private static Path find(String path) throws IOException {
        Path published = PLUGIN.resolve(path);
        if (Files.isRegularFile(published)) {
            return published;
        }
        String[] parts = path.split("/");
        if (parts.length < 4) {
            return null;
        }
        int group = parts.length - 3;
        Path folder =
                DOWNLOADED
                        .resolve(String.join(".", List.of(parts).subList(0, group)))
                        .resolve(parts[group])
                        .resolve(parts[group + 1]);
        if (!Files.isDirectory(folder)) {
            return null;
        }
        try (DirectoryStream<Path> hashes = Files.newDirectoryStream(folder)) {
            for (Path hash : hashes) {
                Path file = hash.resolve(parts[group + 2]);
                if (Files.isRegularFile(file)) {
                    return file;
                }
            }
        }
        return null;
    }

    private static String sha1(byte[] content) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-1").digest(content);
            return String.format("%040x", new BigInteger(1, hash));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
