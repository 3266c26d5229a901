package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.Thrown;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/** Describes exceptions, hostile ones too: their methods are test code and may throw anything. */
public final class Exceptions {
    /** Most exceptions that one result has. */
    static final int MOST = 100;

    /**
     * No more are described once their texts have so many characters: with the last one, that fits
     * a frame several times over, however the texts are encoded.
     */
    private static final int ENOUGH = 1 << 20;

    private Exceptions() {}

    /** Describes as many as a result has room for; when there are more, a last entry says so. */
    static List<Thrown> describe(List<Throwable> thrown) {
        List<Thrown> described = new ArrayList<>();
        int characters = 0;
        for (Throwable each : thrown) {
            if (described.size() == MOST || characters > ENOUGH) {
                described.add(more(thrown.size() - described.size()));
                break;
            }
            Thrown next = describe(each);
            characters += next.message.length() + next.stack.length();
            described.add(next);
        }
        return described;
    }

    private static Thrown more(int count) {
        String message = "... and " + count + " more, which are left out";
        return new Thrown("LeftOut", message, message);
    }

    /** Never throws because of what the exception's own methods do. */
    public static Thrown describe(Throwable thrown) {
        return new Thrown(thrown.getClass().getName(), message(thrown), stack(thrown));
    }

    /** The exception's message, bounded; empty when it has none. */
    public static String message(Throwable thrown) {
        try {
            String message = thrown.getMessage();
            return message == null ? "" : BoundedText.bound(message);
        } catch (Throwable hostile) {
            return "(its getMessage() threw " + hostile.getClass().getName() + ")";
        }
    }

    private static String stack(Throwable thrown) {
        BoundedText text = new BoundedText();
        try (PrintWriter out = new PrintWriter(text)) {
            thrown.printStackTrace(out);
        } catch (Throwable hostile) {
            return stackByHand(thrown, hostile);
        }
        return text.toString();
    }

    private static String stackByHand(Throwable thrown, Throwable hostile) {
        StringBuilder text = new StringBuilder(thrown.getClass().getName());
        text.append(" (printing it threw ").append(hostile.getClass().getName()).append(")\n");
        try {
            for (StackTraceElement frame : thrown.getStackTrace()) {
                text.append("\tat ").append(frame).append('\n');
            }
        } catch (Throwable alsoHostile) {
            text.append("\t(its stack trace can't be read)\n");
        }
        return BoundedText.bound(text.toString());
    }
}
