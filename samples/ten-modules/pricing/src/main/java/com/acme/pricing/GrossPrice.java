package com.acme.pricing;

import com.acme.catalog.Product;
import com.acme.money.Money;
import com.acme.tax.Vat;

/** Price of a product with tax. */
public final class GrossPrice {
    private final Vat vat = new Vat();

    public Money of(Product product, String country) {
        return product.price().plus(vat.of(product.price(), country));
    }
}
