package com.acme.text;

/** Lines of two columns. */
public final class Columns {
    private Columns() {}

    public static String line(String left, String right, int width) {
        return left + " ".repeat(Math.max(1, width - left.length() - right.length())) + right;
    }
}
