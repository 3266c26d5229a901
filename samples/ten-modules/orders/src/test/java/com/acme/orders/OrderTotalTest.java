package com.acme.orders;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class OrderTotalTest {
    @Test
    void few() {
        assertEquals(2380, new OrderTotal().of(new Order(new Product("Tea", Money.ofCents(1000)), 2), "DE").cents());
    }

    @Test
    void many() {
        assertEquals(11305, new OrderTotal().of(new Order(new Product("Tea", Money.ofCents(1000)), 10), "DE").cents());
    }
}
