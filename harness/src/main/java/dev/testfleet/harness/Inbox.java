package dev.testfleet.harness;

import dev.testfleet.harness.wire.FrameInput;
import dev.testfleet.harness.wire.ToHarness;

import java.io.IOException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Reads what the agent says while tests run, so that the next unit is at hand when one ends and the
 * agent's end is seen at any moment.
 */
final class Inbox implements Runnable {
    private final BlockingQueue<Item> items = new LinkedBlockingQueue<>();
    private final FrameInput in;
    private final Runnable agentGone;
    private final Runnable outOfMemory;

    private Inbox(FrameInput in, Runnable agentGone, Runnable outOfMemory) {
        this.in = in;
        this.agentGone = agentGone;
        this.outOfMemory = outOfMemory;
    }

    /**
     * @param outOfMemory called when a message can't be held: a harness that no longer hears must
     *     not live on
     */
    static BlockingQueue<Item> read(FrameInput in, Runnable agentGone, Runnable outOfMemory) {
        Inbox inbox = new Inbox(in, agentGone, outOfMemory);
        Thread thread = new Thread(inbox, "testfleet-inbox");
        thread.setDaemon(true);
        thread.setContextClassLoader(null);
        thread.start();
        return inbox.items;
    }

    @Override
    public void run() {
        try {
            for (byte[] payload = in.next(); payload != null; payload = in.next()) {
                items.add(new Item(ToHarness.decode(payload), null));
            }
            agentGone.run();
        } catch (IOException e) {
            items.add(new Item(null, e));
        } catch (OutOfMemoryError e) {
            outOfMemory.run();
        }
    }

    /** A message, or why there will be none any more. */
    static final class Item {
        private final ToHarness message;
        private final IOException failure;

        private Item(ToHarness message, IOException failure) {
            this.message = message;
            this.failure = failure;
        }

        ToHarness message() throws HarnessFault {
            if (failure != null) {
                throw new HarnessFault(
                        failure.getMessage(),
                        "agent and harness must come from the same Testfleet version, and nothing"
                                + " else may write to their pipes",
                        failure);
            }
            return message;
        }
    }
}
