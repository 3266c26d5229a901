package com.acme.text;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class SlugTest {
    @Test
    void joinsWords() {
        assertEquals("green-tea", Slug.of(" Green  Tea"));
    }

    @Test
    void keepsDigits() {
        assertEquals("area-51", Slug.of("Area 51"));
    }
}
