package com.acme.invoices;

/** Numbers of invoices. */
public final class InvoiceNumber {
    private InvoiceNumber() {}

    public static String of(int year, int number) {
        return String.format("%d-%05d", year, number);
    }
}
