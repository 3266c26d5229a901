package com.acme.orders;

import com.acme.catalog.Product;
import com.acme.stock.Shelf;

/** What somebody buys. */
public final class Order {
    private final Product product;
    private final int count;

    public Order(Product product, int count) {
        this.product = product;
        this.count = count;
    }

    public Product product() {
        return product;
    }

    public int count() {
        return count;
    }

    public boolean canBeSent(Shelf shelf) {
        return shelf.has(product, count);
    }
}
