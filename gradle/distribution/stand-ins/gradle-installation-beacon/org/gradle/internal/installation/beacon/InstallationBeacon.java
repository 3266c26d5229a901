package org.gradle.internal.installation.beacon;

/** Tells Gradle where its home is: the jar that holds this class lies in {@code lib/}. */
public class InstallationBeacon {}
