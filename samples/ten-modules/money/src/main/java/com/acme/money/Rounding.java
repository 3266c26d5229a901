package com.acme.money;

/** Parts of amounts, rounded half up. */
public final class Rounding {
    private Rounding() {}

    public static Money percent(Money amount, int percent) {
        return Money.ofCents(Math.floorDiv(amount.cents() * percent + 50, 100));
    }
}
