package com.acme.tax;

/** Small amounts are free of tax. */
public final class Exemption {
    private Exemption() {}

    public static boolean isFree(long cents) {
        return cents < 100;
    }
}
