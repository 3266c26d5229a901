package com.acme.stock;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ReorderTest {
    @Test
    void fillsUp() {
        assertEquals(3, Reorder.missing(2, 5));
    }

    @Test
    void neverReturns() {
        assertEquals(0, Reorder.missing(5, 2));
    }
}
