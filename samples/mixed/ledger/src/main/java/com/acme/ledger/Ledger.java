package com.acme.ledger;

import java.util.ArrayList;
import java.util.List;

/** Bookings in the order in which they came. */
public final class Ledger {
    private final List<Long> bookings = new ArrayList<>();

    public void book(long cents) {
        bookings.add(cents);
    }

    public long sum() {
        return bookings.stream().mapToLong(Long::longValue).sum();
    }

    public static String currency() {
        return System.getenv("LEDGER_CURRENCY");
    }
}
