package com.acme.pricing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class GrossPriceTest {
    @Test
    void addsTax() {
        assertEquals(1190, new GrossPrice().of(new Product("Tea", Money.ofCents(1000)), "DE").cents());
    }
}
