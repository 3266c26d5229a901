package com.acme.stock;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class ShelfTest {
    @Test
    void countsUp() {
        Product tea = new Product("Tea", Money.ofCents(1));
        assertEquals(true, new Shelf().put(tea, 1).put(tea, 1).has(tea, 2));
    }

    @Test
    void isEmptyAtFirst() {
        assertEquals(false, new Shelf().has(new Product("Tea", Money.ofCents(1)), 1));
    }
}
