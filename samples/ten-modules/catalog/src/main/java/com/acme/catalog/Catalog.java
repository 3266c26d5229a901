package com.acme.catalog;

import com.acme.text.Slug;
import java.util.HashMap;
import java.util.Map;

/** Products by their addresses. */
public final class Catalog {
    private final Map<String, Product> products = new HashMap<>();

    public Catalog add(Product product) {
        products.put(Slug.of(product.title()), product);
        return this;
    }

    public Product find(String slug) {
        return products.get(slug);
    }
}
