package dev.testfleet.harness.junitplatform;

import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherSession;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * A launcher session for the life of the JVM. Loaded only where the launcher has sessions (1.8 and
 * later).
 */
final class SessionLauncher implements AutoCloseable {
    private final LauncherSession session = LauncherFactory.openSession();

    Launcher launcher() {
        return session.getLauncher();
    }

    @Override
    public void close() {
        session.close();
    }
}
