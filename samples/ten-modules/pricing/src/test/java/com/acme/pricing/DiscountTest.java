package com.acme.pricing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class DiscountTest {
    @Test
    void fewHaveNone() {
        assertEquals(0, Discount.of(Money.ofCents(1000), 9).cents());
    }

    @Test
    void manyHaveOne() {
        assertEquals(50, Discount.of(Money.ofCents(1000), 10).cents());
    }
}
