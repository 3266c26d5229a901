package com.acme.tax;

import com.acme.money.Money;
import com.acme.money.Rounding;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;

/** Value added tax by country, from {@code vat.csv}. */
public final class Vat {
    private final Map<String, Integer> percents = new HashMap<>();

    public Vat() {
        try (InputStream in = Vat.class.getResourceAsStream("vat.csv");
                CSVParser rows = CSVFormat.DEFAULT.parse(new InputStreamReader(in, StandardCharsets.UTF_8))) {
            rows.forEach(row -> percents.put(row.get(0), Integer.valueOf(row.get(1))));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public Money of(Money net, String country) {
        return Rounding.percent(net, percents.getOrDefault(country, 0));
    }
}
