package com.acme.bank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AccountTest {
    private final Account account = new Account("Ann");

    @Test
    void startsEmpty() {
        assertEquals(0, account.balance());
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void takesPositiveAmountsOnly(long amount) {
        assertThrows(IllegalArgumentException.class, () -> account.deposit(amount));
    }

    @Nested
    class WithMoney {
        @BeforeEach
        void deposit() {
            account.deposit(500);
        }

        @Test
        void paysOut() {
            account.withdraw(200);
            assertEquals(300, account.balance());
        }

        @Test
        void paysOutNoMoreThanThereIs() {
            assertThrows(IllegalStateException.class, () -> account.withdraw(501));
            assertEquals(500, account.balance());
        }
    }
}
