package com.acme.tax;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ExemptionTest {
    @Test
    void smallIsFree() {
        assertEquals(true, Exemption.isFree(99));
    }

    @Test
    void largeIsNot() {
        assertEquals(false, Exemption.isFree(100));
    }
}
