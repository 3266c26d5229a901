package com.acme.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class CatalogTest {
    @Test
    void findsByAddress() {
        assertEquals("Green Tea", new Catalog().add(new Product("Green Tea", Money.ofCents(1))).find("green-tea").title());
    }

    @Test
    void doesNotFindOthers() {
        assertEquals(null, new Catalog().find("tea"));
    }
}
