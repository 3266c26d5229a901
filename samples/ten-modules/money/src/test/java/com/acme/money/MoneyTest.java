package com.acme.money;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class MoneyTest {
    @Test
    void adds() {
        assertEquals(5, Money.ofCents(2).plus(Money.ofCents(3)).cents());
    }

    @Test
    void multiplies() {
        assertEquals(6, Money.ofCents(2).times(3).cents());
    }
}
