package com.acme.stock;

import com.acme.catalog.Product;
import java.util.HashMap;
import java.util.Map;

/** How many of each product there are. */
public final class Shelf {
    private final Map<String, Integer> counts = new HashMap<>();

    public Shelf put(Product product, int count) {
        counts.merge(product.title(), count, Integer::sum);
        return this;
    }

    public boolean has(Product product, int count) {
        return counts.getOrDefault(product.title(), 0) >= count;
    }
}
