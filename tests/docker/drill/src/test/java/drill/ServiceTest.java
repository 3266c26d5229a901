package drill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

class ServiceTest {
    @Test
    void theServiceIsReady() throws IOException, InterruptedException {
        String address = "http://" + System.getenv("ECHO_HOST") + ":" + System.getenv("ECHO_PORT");
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + "/hello")).build();
        HttpResponse<String> response =
                HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        assertEquals("you said /hello", response.body());
    }

    @Test
    void namedVariablesArePassedOn() {
        assertEquals("a secret of the drill", System.getenv("DRILL_SECRET"));
    }

    @Test
    void onlyTmpCanBeWritten() throws IOException {
        Files.delete(Files.createTempFile("drill", ".txt"));
        assertThrows(IOException.class, () -> Files.createFile(Path.of("x.txt")));
    }
}
