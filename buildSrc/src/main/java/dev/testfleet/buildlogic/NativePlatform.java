package dev.testfleet.buildlogic;

import org.gradle.api.GradleException;

/** A platform that native binaries are for, and what its files are called there. */
enum NativePlatform {
    LINUX("linux", "lib", ".so", ""),
    MACOS("macos", "lib", ".dylib", ""),
    WINDOWS("windows", "", ".dll", ".exe");

    private final String osName;
    private final String libraryPrefix;
    private final String librarySuffix;
    private final String programSuffix;

    NativePlatform(
            String osName, String libraryPrefix, String librarySuffix, String programSuffix) {
        this.osName = osName;
        this.libraryPrefix = libraryPrefix;
        this.librarySuffix = librarySuffix;
        this.programSuffix = programSuffix;
    }

    /** The operating system of a Rust target triple such as {@code x86_64-unknown-linux-gnu}. */
    static NativePlatform ofTriple(String triple) {
        if (triple.contains("-linux-")) {
            return LINUX;
        } else if (triple.contains("-apple-darwin")) {
            return MACOS;
        } else if (triple.contains("-windows-")) {
            return WINDOWS;
        }
        throw new GradleException(
                "failed to name the platform of "
                        + triple
                        + ": Testfleet is built for Linux, macOS and Windows.");
    }

    /** The folder of this platform's binaries, {@code <os>-<arch>}, the latter as Rust names it. */
    String folder(String triple) {
        return osName + "-" + triple.substring(0, triple.indexOf('-'));
    }

    /** File name of the shared library {@code name}. */
    String library(String name) {
        return libraryPrefix + name + librarySuffix;
    }

    /** File name of the program {@code name}. */
    String program(String name) {
        return name + programSuffix;
    }
}
