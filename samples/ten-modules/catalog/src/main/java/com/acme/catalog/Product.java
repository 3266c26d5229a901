package com.acme.catalog;

import com.acme.money.Money;

/** Something to sell. */
public final class Product {
    private final String title;
    private final Money price;

    public Product(String title, Money price) {
        this.title = title;
        this.price = price;
    }

    public String title() {
        return title;
    }

    public Money price() {
        return price;
    }
}
