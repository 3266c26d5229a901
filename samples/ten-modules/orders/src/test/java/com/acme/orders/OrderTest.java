package com.acme.orders;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import com.acme.stock.Shelf;
import org.junit.jupiter.api.Test;

class OrderTest {
    @Test
    void waitsForStock() {
        assertEquals(false, new Order(new Product("Tea", Money.ofCents(1)), 1).canBeSent(new Shelf()));
    }

    @Test
    void isSentFromStock() {
        Product tea = new Product("Tea", Money.ofCents(1));
        assertEquals(true, new Order(tea, 1).canBeSent(new Shelf().put(tea, 1)));
    }
}
