package com.acme.ledger;

import static org.junit.Assert.assertEquals;

import java.util.Arrays;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.Parameterized;

@RunWith(Parameterized.class)
public class RoundingTest {
    private final double exact;
    private final long rounded;

    public RoundingTest(double exact, long rounded) {
        this.exact = exact;
        this.rounded = rounded;
    }

    @Parameterized.Parameters(name = "{0} is {1}")
    public static Iterable<Object[]> cases() {
        return Arrays.asList(new Object[][] {{0.4, 0}, {0.5, 1}, {1.5, 2}});
    }

    @Test
    public void rounds() {
        assertEquals(rounded, Math.round(exact));
    }
}
