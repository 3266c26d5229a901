package dev.testfleet.harness.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.concurrent.atomic.AtomicInteger;

class OutboxTest {
    @Test
    void framesOfAnySizeArriveInOrder() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Outbox outbox = new Outbox(out, () -> {});
        int[] sizes = {0, 1, 65_531, 65_532, 65_533, 200_000, 30_000, 30_000, 30_000, 7};
        for (int size : sizes) {
            byte[] payload = new byte[size];
            java.util.Arrays.fill(payload, (byte) size);
            outbox.post(payload);
        }
        outbox.flush();
        FrameInput frames = new FrameInput(new ByteArrayInputStream(out.toByteArray()));
        for (int size : sizes) {
            byte[] expected = new byte[size];
            java.util.Arrays.fill(expected, (byte) size);
            assertArrayEquals(expected, frames.next());
        }
        assertNull(frames.next());
    }

    @Test
    void whatNoFrameCanHoldIsAFaultThatSaysSo() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Outbox outbox = new Outbox(out, () -> {});
        outbox.send(new byte[FrameInput.MAX_FRAME]);
        outbox.send(new byte[FrameInput.MAX_FRAME + 1]);
        FrameInput frames = new FrameInput(new ByteArrayInputStream(out.toByteArray()));
        assertEquals(FrameInput.MAX_FRAME, frames.next().length);
        byte[] fault = frames.next();
        assertEquals(8, fault[0]);
        assertTrue(new String(fault, "UTF-8").contains("has 16777217 bytes, over the limit"));
        assertNull(frames.next());
    }

    @Test
    void anAgentThatIsGoneIsNoticed() {
        AtomicInteger noticed = new AtomicInteger();
        OutputStream broken =
                new OutputStream() {
                    @Override
                    public void write(int b) throws IOException {
                        throw new IOException("Broken pipe");
                    }
                };
        new Outbox(broken, noticed::incrementAndGet).send(new byte[3]);
        assertEquals(1, noticed.get());
    }
}
