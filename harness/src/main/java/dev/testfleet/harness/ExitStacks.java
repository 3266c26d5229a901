package dev.testfleet.harness;

import java.util.Map;

/** Who calls for the end of the JVM. */
final class ExitStacks {
    /** Enough for any test; a stack that overflowed is not shown in full. */
    private static final int MOST_FRAMES = 200;

    private ExitStacks() {}

    /** Name and stack of each thread that is inside {@code Runtime.exit}; empty when none is. */
    static String find() {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<Thread, StackTraceElement[]> thread :
                Thread.getAllStackTraces().entrySet()) {
            if (isExiting(thread.getValue())) {
                text.append('"').append(thread.getKey().getName()).append("\"\n");
                StackTraceElement[] frames = thread.getValue();
                for (int i = 0; i < frames.length && i < MOST_FRAMES; i++) {
                    text.append("\tat ").append(frames[i]).append('\n');
                }
            }
        }
        return text.toString();
    }

    private static boolean isExiting(StackTraceElement[] frames) {
        for (StackTraceElement frame : frames) {
            if (frame.getClassName().equals("java.lang.Runtime")
                    && frame.getMethodName().equals("exit")) {
                return true;
            }
        }
        return false;
    }
}
