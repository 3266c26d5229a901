package com.acme.invoices;

import com.acme.orders.Order;
import com.acme.orders.OrderTotal;
import com.acme.text.Columns;

/** An order on paper. */
public final class Invoice {
    private final OrderTotal totals = new OrderTotal();

    public String of(Order order, String country) {
        return Columns.line(order.product().title(), String.valueOf(totals.of(order, country).cents()), 20);
    }
}
