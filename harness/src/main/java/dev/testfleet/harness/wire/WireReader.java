package dev.testfleet.harness.wire;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Takes a payload's fields out of its bytes; the counterpart of {@link WireWriter}. */
public final class WireReader {
    private final ByteBuffer rest;

    public WireReader(byte[] payload) {
        rest = ByteBuffer.wrap(payload);
    }

    public int u8() throws WireException {
        need(1);
        return rest.get() & 0xff;
    }

    public boolean bool() throws WireException {
        int value = u8();
        if (value > 1) {
            throw new WireException(value + " is neither yes nor no");
        }
        return value == 1;
    }

    /** An unsigned number; those above {@link Integer#MAX_VALUE} come out negative. */
    public int u32() throws WireException {
        need(4);
        return rest.getInt();
    }

    /** An unsigned number; those above {@link Long#MAX_VALUE} come out negative. */
    public long u64() throws WireException {
        need(8);
        return rest.getLong();
    }

    public byte[] blob() throws WireException {
        int length = u32();
        if (length < 0) {
            throw new WireException("it ends too early");
        }
        need(length);
        byte[] bytes = new byte[length];
        rest.get(bytes);
        return bytes;
    }

    public String string() throws WireException {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(blob())).toString();
        } catch (CharacterCodingException e) {
            throw new WireException("a text is no UTF-8");
        }
    }

    public TestName test() throws WireException {
        return new TestName(string(), string());
    }

    /** Reads a count and that many items; no space is reserved for a count that may be damaged. */
    public <T> List<T> list(Item<T> item) throws WireException {
        long count = u32() & 0xffff_ffffL;
        List<T> items = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            items.add(item.read(this));
        }
        return items;
    }

    /** Refuses bytes after the last field. */
    public void end() throws WireException {
        if (rest.hasRemaining()) {
            throw new WireException("it is longer than its fields");
        }
    }

    private void need(int count) throws WireException {
        if (rest.remaining() < count) {
            throw new WireException("it ends too early");
        }
    }

    /** Reads one item of a list. */
    public interface Item<T> {
        T read(WireReader in) throws WireException;
    }
}
