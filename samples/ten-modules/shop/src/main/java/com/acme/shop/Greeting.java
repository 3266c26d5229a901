package com.acme.shop;

/** What the shop says. */
public final class Greeting {
    private Greeting() {}

    public static String of(String name) {
        return "Welcome, " + name;
    }
}
