package dev.testfleet.distribution;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Undoes the relocation of external libraries in gradle-api, where they live in a package of
 * Gradle's own.
 */
final class Relocation {
    /** The package that external libraries were moved into, as a folder. */
    static final String FOLDER = "org/gradle/internal/impldep/";

    private static final byte[] WITH_SLASHES = FOLDER.getBytes(StandardCharsets.US_ASCII);
    private static final byte[] WITH_DOTS =
            FOLDER.replace('/', '.').getBytes(StandardCharsets.US_ASCII);

    private static final int UTF8 = 1;

    private Relocation() {}

    /**
     * The file with the relocated package taken out of every text constant, if it is a class file.
     * Nothing else in a class file depends on the length of these (Java VM specification, 4.4).
     */
    static byte[] undo(String name, byte[] content) throws IOException {
        if (!name.endsWith(".class")) {
            return content;
        }
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(content));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(content.length);
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeLong(in.readLong()); // magic, minor and major version
        int count = in.readUnsignedShort();
        out.writeShort(count);
        for (int index = 1; index < count; index++) {
            int tag = in.readUnsignedByte();
            out.writeByte(tag);
            if (tag == UTF8) {
                byte[] text = new byte[in.readUnsignedShort()];
                in.readFully(text);
                text = without(WITH_DOTS, without(WITH_SLASHES, text));
                out.writeShort(text.length);
                out.write(text);
            } else {
                int size = constantSize(tag, name);
                out.write(in.readNBytes(size));
                if (size == Long.BYTES) {
                    index++; // long and double take two places
                }
            }
        }
        in.transferTo(out);
        return bytes.toByteArray();
    }

    private static int constantSize(int tag, String name) throws IOException {
        return switch (tag) {
            case 7, 8, 16, 19, 20 -> 2;
            case 15 -> 3;
            case 3, 4, 9, 10, 11, 12, 17, 18 -> 4;
            case 5, 6 -> Long.BYTES;
            default -> throw new IOException(name + " has a constant of unknown kind " + tag);
        };
    }

    private static byte[] without(byte[] prefix, byte[] text) {
        if (text.length <= prefix.length) {
            return text; // the bare prefix is a literal of Gradle's own
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream(text.length);
        int index = 0;
        while (index < text.length) {
            if (matches(prefix, text, index)) {
                index += prefix.length;
            } else {
                out.write(text[index++]);
            }
        }
        return out.size() == text.length ? text : out.toByteArray();
    }

    private static boolean matches(byte[] prefix, byte[] text, int at) {
        if (at + prefix.length > text.length || text[at] != prefix[0]) {
            return false;
        }
        return Arrays.equals(text, at, at + prefix.length, prefix, 0, prefix.length);
    }
}
