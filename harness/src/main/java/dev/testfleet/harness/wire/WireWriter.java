package dev.testfleet.harness.wire;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;

/** Puts a payload together field by field; numbers have their most significant byte first. */
public final class WireWriter {
    private byte[] bytes = new byte[128];
    private int used;

    public WireWriter u8(int value) {
        reserve(1);
        bytes[used++] = (byte) value;
        return this;
    }

    public WireWriter u32(int value) {
        return u8(value >>> 24).u8(value >>> 16).u8(value >>> 8).u8(value);
    }

    public WireWriter u64(long value) {
        return u32((int) (value >>> 32)).u32((int) value);
    }

    public WireWriter blob(byte[] source, int offset, int length) {
        u32(length);
        reserve(length);
        System.arraycopy(source, offset, bytes, used, length);
        used += length;
        return this;
    }

    public WireWriter string(String value) {
        byte[] encoded = value.getBytes(StandardCharsets.UTF_8);
        return blob(encoded, 0, encoded.length);
    }

    public <T> WireWriter list(List<T> items, BiConsumer<WireWriter, T> item) {
        u32(items.size());
        for (T one : items) {
            item.accept(this, one);
        }
        return this;
    }

    /** One byte 0 for null, else one byte 1 and the value. */
    public <T> WireWriter option(T value, BiConsumer<WireWriter, T> item) {
        u8(value == null ? 0 : 1);
        if (value != null) {
            item.accept(this, value);
        }
        return this;
    }

    public WireWriter test(TestName test) {
        return string(test.className).string(test.method);
    }

    public WireWriter thrown(Thrown thrown) {
        return string(thrown.kind).string(thrown.message).string(thrown.stack);
    }

    public WireWriter finished(Finished finished) {
        return u8(finished.outcome.code)
                .u64(finished.startedAtMillis)
                .u64(finished.durationMicros)
                .option(finished.reason, WireWriter::string)
                .list(finished.thrown, WireWriter::thrown);
    }

    public byte[] payload() {
        return Arrays.copyOf(bytes, used);
    }

    private void reserve(int count) {
        if (bytes.length - used < count) {
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, used + count));
        }
    }
}
