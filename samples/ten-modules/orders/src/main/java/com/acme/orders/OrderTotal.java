package com.acme.orders;

import com.acme.money.Money;
import com.acme.pricing.Discount;
import com.acme.pricing.GrossPrice;

/** What an order costs. */
public final class OrderTotal {
    private final GrossPrice prices = new GrossPrice();

    public Money of(Order order, String country) {
        Money total = prices.of(order.product(), country).times(order.count());
        return Money.ofCents(total.cents() - Discount.of(total, order.count()).cents());
    }
}
