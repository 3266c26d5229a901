package com.acme.bank;

/** A bank account, in cents. */
public final class Account {
    private final String owner;
    private long cents;

    public Account(String owner) {
        this.owner = owner;
    }

    public String owner() {
        return owner;
    }

    public synchronized long balance() {
        return cents;
    }

    public synchronized void deposit(long amount) {
        requirePositive(amount);
        cents = Math.addExact(cents, amount);
    }

    public synchronized void withdraw(long amount) {
        requirePositive(amount);
        if (amount > cents) {
            throw new IllegalStateException(owner + " has only " + cents + " cents");
        }
        cents -= amount;
    }

    private static void requirePositive(long amount) {
        if (amount <= 0) {
            throw new IllegalArgumentException("not a positive amount: " + amount);
        }
    }
}
