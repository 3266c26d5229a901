package dev.testfleet.gradle.internal;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;

/** Exclusion between processes and, within one, between class loaders. */
final class InterProcess {
    private static final int RETRY_MILLIS = 20;

    private InterProcess() {}

    /**
     * Waits for an exclusive lock. Where a thread of this process has it, the JVM throws instead of
     * waiting; two versions of the plugin in one daemon share no monitor, so that is waited for
     * too.
     *
     * @throws IOException when the file cannot be locked or the thread is interrupted
     */
    static FileLock lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                return channel.lock();
            } catch (OverlappingFileLockException heldByThisProcess) {
                try {
                    Thread.sleep(RETRY_MILLIS);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new IOException("interrupted while waiting for a lock", e);
                }
            }
        }
    }
}
