import com.sun.net.httpserver.HttpServer;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** A service for the drill of tests/docker-check: says what it was asked for, and takes a moment until it can. */
public final class Echo {
    private Echo() {}

    public static void main(String[] args) throws IOException, InterruptedException {
        Thread.sleep(1_000);
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext(
                "/",
                exchange -> {
                    String said = "you said " + exchange.getRequestURI().getPath();
                    byte[] bytes = said.getBytes(StandardCharsets.UTF_8);
                    exchange.sendResponseHeaders(200, bytes.length);
                    exchange.getResponseBody().write(bytes);
                    exchange.close();
                });
        server.start();
        System.out.println("echo is ready");
    }
}
