package com.acme.money;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class RoundingTest {
    @Test
    void roundsHalfUp() {
        assertEquals(1, Rounding.percent(Money.ofCents(5), 10).cents());
    }

    @Test
    void roundsDown() {
        assertEquals(0, Rounding.percent(Money.ofCents(4), 10).cents());
    }
}
