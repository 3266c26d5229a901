package com.acme.text;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ColumnsTest {
    @Test
    void fills() {
        assertEquals("a  b", Columns.line("a", "b", 4));
    }

    @Test
    void keepsOneSpace() {
        assertEquals("aaa b", Columns.line("aaa", "b", 2));
    }
}
