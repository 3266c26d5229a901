package com.acme.templates;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import org.junit.jupiter.api.Test;

class LetterTest {
    @Test
    void isReadRelativeToTheProject() throws IOException {
        byte[] letter = Files.readAllBytes(Paths.get("letters/welcome.txt"));
        assertEquals("Dear $name,", new String(letter, StandardCharsets.UTF_8).trim());
    }

    @Test
    void isSignedFromAResource() throws IOException {
        try (InputStream in = LetterTest.class.getResourceAsStream("signature.txt")) {
            assertNotNull(in);
            BufferedReader reader =
                    new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
            assertEquals("Yours, Acme", reader.readLine());
        }
    }

    @Test
    void knowsItsLanguage() {
        assertEquals("en", System.getProperty("letters.language"));
    }

    @Test
    void leavesNothingInTheProject() throws IOException {
        File draft = File.createTempFile("draft", ".txt");
        assertFalse(draft.toPath().startsWith(Paths.get("").toAbsolutePath()), draft.getPath());
        draft.delete();
    }
}
