package com.acme.shipping;

import com.acme.catalog.Product;
import com.acme.money.Money;
import java.util.List;

/** Products on their way. */
public final class Parcel {
    private final List<Product> products;

    public Parcel(List<Product> products) {
        this.products = products;
    }

    public Money cost() {
        return Rates.of(500 * products.size());
    }
}
