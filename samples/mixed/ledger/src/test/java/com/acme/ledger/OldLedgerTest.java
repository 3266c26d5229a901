package com.acme.ledger;

import junit.framework.TestCase;

/** In the style of JUnit 3. */
public class OldLedgerTest extends TestCase {
    public void testStartsAtZero() {
        assertEquals(0, new Ledger().sum());
    }
}
