package com.acme.invoices;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class InvoiceNumberTest {
    @Test
    void hasFiveDigits() {
        assertEquals("2026-00007", InvoiceNumber.of(2026, 7));
    }
}
