package com.acme.tax;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.acme.money.Money;
import org.junit.jupiter.api.Test;

class VatTest {
    @Test
    void knowsCountries() {
        assertEquals(190, new Vat().of(Money.ofCents(1000), "DE").cents());
    }

    @Test
    void doesNotKnowAll() {
        assertEquals(0, new Vat().of(Money.ofCents(1000), "XX").cents());
    }
}
