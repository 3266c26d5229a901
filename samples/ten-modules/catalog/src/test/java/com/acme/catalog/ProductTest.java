package com.acme.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class ProductTest {
    @Test
    void hasAPrice() {
        assertEquals(250, new Product("Tea", Money.ofCents(250)).price().cents());
    }
}
