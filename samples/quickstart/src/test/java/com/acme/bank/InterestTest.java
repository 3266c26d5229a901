package com.acme.bank;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InterestTest {
    @ParameterizedTest
    @CsvSource({"10000, 5, 1, 10500", "10000, 5, 2, 11025", "10000, 0, 30, 10000", "1, 50, 1, 2"})
    void compounds(long cents, BigDecimal percent, int years, long expected) {
        assertEquals(expected, Interest.compound(cents, percent, years));
    }

    @Test
    void nothingGrowsInNoTime() {
        assertEquals(123, Interest.compound(123, BigDecimal.TEN, 0));
    }
}
