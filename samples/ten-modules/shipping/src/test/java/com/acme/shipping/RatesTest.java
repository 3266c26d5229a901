package com.acme.shipping;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class RatesTest {
    @Test
    void lightIsCheap() {
        assertEquals(390, Rates.of(1000).cents());
    }

    @Test
    void heavyIsNot() {
        assertEquals(690, Rates.of(1001).cents());
    }
}
