package com.acme.pricing;

/** Discounts by quantity. */
public final class Discount {
    private Discount() {}

    public static int percent(int quantity) {
        if (quantity >= 100) {
            return 20;
        }
        return quantity >= 10 ? 5 : 0;
    }
}
