package dev.testfleet.buildlogic;

import org.gradle.api.provider.Property;

/** What a project may choose about its Java code: the block {@code javaConventions { }}. */
public interface JavaConventionsExtension {
    /** Java release that production code is compiled for. Tests use the build's own release. */
    Property<Integer> getRelease();
}
