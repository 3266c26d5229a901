package com.acme.shop;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import com.acme.orders.Order;
import org.junit.jupiter.api.Test;

class CheckoutTest {
    @Test
    void addsShipping() {
        assertEquals(1580, new Checkout().total(new Order(new Product("Tea", Money.ofCents(1000)), 1), "DE").cents());
    }

    @Test
    void printsAnInvoice() {
        assertEquals("Tea             1190", new Checkout().invoice(new Order(new Product("Tea", Money.ofCents(1000)), 1), "DE"));
    }
}
