package com.acme.shipping;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import java.util.List;
import org.junit.jupiter.api.Test;

class ParcelTest {
    @Test
    void weighsAllProducts() {
        Product tea = new Product("Tea", Money.ofCents(1));
        assertEquals(690, new Parcel(List.of(tea, tea, tea)).cost().cents());
    }
}
