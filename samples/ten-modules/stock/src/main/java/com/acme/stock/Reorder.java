package com.acme.stock;

/** When to order more. */
public final class Reorder {
    private Reorder() {}

    public static int missing(int count, int wanted) {
        return Math.max(0, wanted - count);
    }
}
