package drill;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

class MissingTest {
    @Test
    void readsWhatNobodyDeclared() throws IOException {
        Files.readString(Path.of("src/data/undeclared.json"));
    }
}
