package dev.testfleet.gradle;

import org.gradle.api.Named;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;

import java.time.Duration;

/**
 * A container that each worker has beside it, started first. Its address is in the environment of
 * the worker: {@code POSTGRES_HOST} and {@code POSTGRES_PORT} for one that is called postgres.
 */
public interface ServiceSpec extends Named {
    /** Its image, as {@code docker run} takes it. */
    Property<String> getImage();

    /** Its environment. */
    MapProperty<String, String> getEnvironment();

    /** What it runs instead of what its image says. */
    ListProperty<String> getCommand();

    /** The port that the worker is told; it is ready when that takes connections. */
    Property<Integer> getPort();

    /** It is ready when this command ends well in it. */
    ListProperty<String> getReadyCommand();

    /** It is ready when its log has this text. */
    Property<String> getReadyLog();

    /** It is ready when the health check of its image says so. */
    Property<Boolean> getReadyWhenHealthy();

    /** How long it may take until it is ready; a minute unless set. */
    Property<Duration> getReadyWithin();

    /** Its memory, such as {@code '256m'}; no limit unless set. */
    Property<String> getMemory();

    /** Folders of it that are kept in memory. */
    ListProperty<String> getTmpfs();
}
