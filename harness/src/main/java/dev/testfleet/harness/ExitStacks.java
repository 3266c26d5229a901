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
                    text.append("\tat ").append(describe(frames[i])).append('\n');
                }
            }
        }
        return text.toString();
    }

    /** As Java 8 wrote it: newer ones put loader and module before the name. */
    private static String describe(StackTraceElement frame) {
        String place = frame.isNativeMethod() ? "Native Method" : frame.getFileName();
        if (place == null) {
            place = "Unknown Source";
        } else if (frame.getLineNumber() >= 0) {
            place += ":" + frame.getLineNumber();
        }
        return frame.getClassName() + "." + frame.getMethodName() + "(" + place + ")";
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
