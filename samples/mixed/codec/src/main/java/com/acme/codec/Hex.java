package com.acme.codec;

/** Bytes as hexadecimal digits. */
public final class Hex {
    private Hex() {}

    public static String encode(byte[] bytes) {
        StringBuilder digits = new StringBuilder();
        for (byte b : bytes) {
            digits.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return digits.toString();
    }

    public static byte[] decode(String digits) {
        if (digits.length() % 2 != 0) {
            throw new IllegalArgumentException("an odd number of digits: " + digits.length());
        }
        byte[] bytes = new byte[digits.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(digits.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
