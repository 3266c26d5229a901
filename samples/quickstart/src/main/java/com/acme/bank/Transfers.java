package com.acme.bank;

/** Moves money between accounts. */
public final class Transfers {
    private Transfers() {}

    /** Moves {@code amount}; when the payer has too little, nothing moves. */
    public static void transfer(Account from, Account to, long amount) {
        from.withdraw(amount);
        to.deposit(amount);
    }
}
