package com.acme.bank;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** Takes its time, as tests do that wait for something: here is what several workers are good for. */
class HolidaySettlementTest {
    @Test
    void settlesAfterTheHoliday() throws InterruptedException {
        Account payer = new Account("Ann");
        Account payee = new Account("Bob");
        payer.deposit(1_000);
        Thread.sleep(900);
        Transfers.transfer(payer, payee, 400);
        assertEquals(600, payer.balance());
        assertEquals(400, payee.balance());
    }
}
