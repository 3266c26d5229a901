package dev.testfleet.gradle.internal;

import java.util.Locale;

/** The operating system and processor that this JVM runs on, named as in the plugin's jar. */
final class Platform {
    private Platform() {}

    /** For example {@code linux-x86_64}. */
    static String current() {
        return name(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    static String name(String osName, String osArch) {
        return os(osName.toLowerCase(Locale.ROOT)) + "-" + arch(osArch.toLowerCase(Locale.ROOT));
    }

    private static String os(String name) {
        if (name.startsWith("mac") || name.startsWith("darwin")) {
            return "macos";
        }
        return name.startsWith("windows") ? "windows" : name.replace(' ', '-');
    }

    private static String arch(String name) {
        switch (name) {
            case "amd64":
            case "x86-64":
            case "x86_64":
                return "x86_64";
            case "arm64":
            case "aarch64":
                return "aarch64";
            default:
                return name;
        }
    }
}
