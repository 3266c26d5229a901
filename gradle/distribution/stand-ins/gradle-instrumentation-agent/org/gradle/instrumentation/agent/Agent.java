package org.gradle.instrumentation.agent;

import java.lang.instrument.ClassFileTransformer;
import java.lang.instrument.Instrumentation;

/** Lets the Gradle daemon transform the classes of build scripts and plugins as they are loaded. */
public class Agent {
    private static volatile Instrumentation instrumentation;

    /** Called by the JVM that was started with this agent. */
    public static void premain(String arguments, Instrumentation ofThisJvm) {
        instrumentation = ofThisJvm;
    }

    /** Called by a running JVM that this agent is attached to. */
    public static void agentmain(String arguments, Instrumentation ofThisJvm) {
        instrumentation = ofThisJvm;
    }

    /** Whether this JVM runs with the agent. */
    public static boolean isApplied() {
        return instrumentation != null;
    }

    /** Adds a transformer and says whether that was possible. */
    public static boolean installTransformer(ClassFileTransformer transformer) {
        Instrumentation current = instrumentation;
        if (current == null) {
            return false;
        }
        current.addTransformer(transformer);
        return true;
    }
}
