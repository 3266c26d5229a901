package com.acme.shipping;

import com.acme.money.Money;

/** What a parcel costs. */
public final class Rates {
    private Rates() {}

    public static Money of(int grams) {
        return Money.ofCents(grams <= 1000 ? 390 : 690);
    }
}
