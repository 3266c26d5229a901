package dev.testfleet.gradle;

import org.gradle.api.provider.Property;

/**
 * The block {@code history { }}: where timings and passed units are shared between machines.
 * Nothing is shared unless {@code location} is set.
 */
public interface HistorySpec {
    /** A folder's path, {@code http(s)://host/path/}, or {@code oci://registry/repository}. */
    Property<String> getLocation();

    /** The branch whose history the build continues; as a rule from a variable of the CI. */
    Property<String> getBranch();

    /** Where a branch without history begins from; {@code main} unless set. */
    Property<String> getFallbackBranch();

    /** Whether runs add to the history; false unless set: only CI should. */
    Property<Boolean> getPublish();

    /**
     * Whether the record of a run that publishes is kept there while it goes on, so that another
     * machine can go on with it; false unless set.
     */
    Property<Boolean> getJournal();

    /** After how many days what no run used is forgotten; 90 unless set. */
    Property<Integer> getExpireDays();

    /** Name of the environment variable with the user; its value is never stored. */
    Property<String> getUserVariable();

    /** Name of the environment variable with the password or token; its value is never stored. */
    Property<String> getPasswordVariable();
}
