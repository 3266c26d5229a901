package com.acme.shop;

import com.acme.invoices.Invoice;
import com.acme.money.Money;
import com.acme.orders.Order;
import com.acme.orders.OrderTotal;
import com.acme.shipping.Parcel;
import java.util.Collections;

/** From an order to a parcel and an invoice. */
public final class Checkout {
    private final OrderTotal totals = new OrderTotal();
    private final Invoice invoices = new Invoice();

    public Money total(Order order, String country) {
        Parcel parcel = new Parcel(Collections.nCopies(order.count(), order.product()));
        return totals.of(order, country).plus(parcel.cost());
    }

    public String invoice(Order order, String country) {
        return invoices.of(order, country);
    }
}
