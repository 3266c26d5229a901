package com.acme.pricing;

import static org.testng.Assert.assertEquals;
import static org.testng.Assert.assertTrue;
import static org.testng.Assert.fail;

import org.testng.annotations.BeforeClass;
import org.testng.annotations.DataProvider;
import org.testng.annotations.Test;

public class DiscountTest {
    private boolean setUp;

    @BeforeClass
    public void setUp() {
        setUp = true;
    }

    @DataProvider
    public Object[][] quantities() {
        return new Object[][] {{1, 0}, {9, 0}, {10, 5}, {100, 20}};
    }

    @Test(dataProvider = "quantities")
    public void growsWithTheQuantity(int quantity, int percent) {
        assertEquals(Discount.percent(quantity), percent);
    }

    @Test
    public void theClassWasSetUp() {
        assertTrue(setUp);
    }

    @Test(groups = "manual")
    public void isNotRunAsItsGroupIsExcluded() {
        fail("the build script excludes the group 'manual'");
    }
}
