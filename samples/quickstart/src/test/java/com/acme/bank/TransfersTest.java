package com.acme.bank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class TransfersTest {
    private final Account payer = new Account("Ann");
    private final Account payee = new Account("Bob");

    @Test
    void nothingMovesWithoutMoney() {
        assertThrows(IllegalStateException.class, () -> Transfers.transfer(payer, payee, 1));
        assertEquals(0, payee.balance());
    }

    @RepeatedTest(3)
    void noCentIsLostBetweenThreads() throws InterruptedException {
        payer.deposit(1_000);
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> moveOneByOne(250));
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(0, payer.balance());
        assertEquals(1_000, payee.balance());
    }

    private void moveOneByOne(int times) {
        for (int i = 0; i < times; i++) {
            Transfers.transfer(payer, payee, 1);
        }
    }
}
