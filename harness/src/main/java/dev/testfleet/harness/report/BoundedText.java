package dev.testfleet.harness.report;

import java.io.Writer;

/** Keeps the head and the tail of what is written, within {@link #LIMIT} characters. */
final class BoundedText extends Writer {
    /** In characters; a note about what was left out comes on top. */
    static final int LIMIT = 64 * 1024;

    private static final int TAIL = 16 * 1024;
    private static final int HEAD = LIMIT - TAIL;

    private final StringBuilder head = new StringBuilder();
    private char[] tail;
    private long written;

    /** The text, shortened in its middle when it is too long. */
    static String bound(String text) {
        if (text.length() <= LIMIT) {
            return text;
        }
        BoundedText bounded = new BoundedText();
        bounded.write(text, 0, text.length());
        return bounded.toString();
    }

    @Override
    public void write(char[] text, int offset, int length) {
        for (int i = 0; i < length; i++) {
            add(text[offset + i]);
        }
    }

    @Override
    public void write(String text, int offset, int length) {
        for (int i = 0; i < length; i++) {
            add(text.charAt(offset + i));
        }
    }

    private void add(char c) {
        if (written < HEAD) {
            head.append(c);
        } else {
            if (tail == null) {
                tail = new char[TAIL];
            }
            tail[(int) ((written - HEAD) % TAIL)] = c;
        }
        written++;
    }

    @Override
    public String toString() {
        if (written <= HEAD) {
            return head.toString();
        }
        StringBuilder all = new StringBuilder(head);
        long beyond = written - HEAD;
        int start = 0;
        int count = (int) beyond;
        if (beyond > TAIL) {
            all.append("\n... ").append(beyond - TAIL).append(" characters left out ...\n");
            start = (int) (beyond % TAIL);
            count = TAIL;
        }
        for (int i = 0; i < count; i++) {
            all.append(tail[(start + i) % TAIL]);
        }
        return all.toString();
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
