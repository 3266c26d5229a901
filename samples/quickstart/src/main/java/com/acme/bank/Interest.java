package com.acme.bank;

import java.math.BigDecimal;
import java.math.RoundingMode;

/** Compound interest. */
public final class Interest {
    private Interest() {}

    /** What {@code cents} become at {@code percent} a year after some years, rounded to cents. */
    public static long compound(long cents, BigDecimal percent, int years) {
        BigDecimal factor = BigDecimal.ONE.add(percent.movePointLeft(2)).pow(years);
        return BigDecimal.valueOf(cents)
                .multiply(factor)
                .setScale(0, RoundingMode.HALF_EVEN)
                .longValueExact();
    }
}
