package com.acme.invoices;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.catalog.Product;
import com.acme.money.Money;
import com.acme.orders.Order;
import org.junit.jupiter.api.Test;

class InvoiceTest {
    @Test
    void hasTheTotal() {
        assertEquals("Tea             1190", new Invoice().of(new Order(new Product("Tea", Money.ofCents(1000)), 1), "DE"));
    }
}
