package dev.testfleet.gradle;

import org.gradle.api.Action;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.provider.SetProperty;
import org.gradle.api.tasks.Nested;

import java.io.File;

/** The block {@code image { }}: what images are made of, how they are called and where they go. */
public interface ImageSpec {
    /**
     * What the image stands on: {@code none}, the JDK of this machine and what it needs, unless
     * set; or an image of a registry, such as {@code eclipse-temurin:17}.
     */
    Property<String> getBase();

    /** A folder in the OCI layout, or a tar file of an image, to stand on instead. */
    RegularFileProperty getBaseFile();

    /** Registry and repository, without a tag: {@code registry.example/team/app-tests}. */
    Property<String> getName();

    /** Tags; <code>{git}</code> is the commit, <code>{build}</code> the build's name. */
    ListProperty<String> getTags();

    /** Where it goes besides the folder: {@code registry}, {@code docker}. */
    SetProperty<String> getTo();

    /** {@code linux/amd64}; this machine's unless set. */
    Property<String> getPlatform();

    /** {@code auto}, {@code none}, {@code gzip} or {@code zstd}; {@code auto} unless set. */
    Property<String> getCompression();

    /** Whether a base gets the JDK of this machine; when it sets no JAVA_HOME unless set. */
    Property<Boolean> getAddJava();

    /** Further files and folders, by their path in the image. */
    MapProperty<String, File> getFiles();

    /** Variables of the environment of workers. No place for secrets: they are in the image. */
    MapProperty<String, String> getEnvironment();

    /** {@code name}, {@code 1000} or {@code 1000:1000}; the base's unless set. */
    Property<String> getUser();

    /** Where the agent starts; the base's unless set. */
    Property<String> getWorkingDir();

    /** What goes before the agent on the command line: {@code ['xvfb-run', '-a']}. */
    ListProperty<String> getCommandPrefix();

    /** Ant patterns of stored paths that may look like credentials. */
    ListProperty<String> getAllowedSecrets();

    /** Whether each worker gets an image of its own over shared layers; false unless set. */
    Property<Boolean> getPerWorker();

    /** Whether an archive of loaded classes makes JVMs start faster; false unless set. */
    Property<Boolean> getClassDataSharing();

    /**
     * Whether it has what Gradle needs to build without downloads, for {@code testfleet cache
     * restore}: metadata, plugins and what only the compiler needs; false unless set.
     */
    Property<Boolean> getDependencyCache();

    /**
     * Whether there is a second image to work in, with the build's JDK and Gradle; its tags end in
     * {@code -development}; false unless set.
     */
    Property<Boolean> getDevelopment();

    /** How registries are reached. */
    @Nested
    RegistrySpec getRegistry();

    /** How registries are reached. */
    default void registry(Action<? super RegistrySpec> action) {
        action.execute(getRegistry());
    }

    /** Where layers are kept for all builds of this machine. */
    @Nested
    StoreSpec getStore();

    /** Where layers are kept for all builds of this machine. */
    default void store(Action<? super StoreSpec> action) {
        action.execute(getStore());
    }

    /** How registries are reached. Logins come from Docker's configuration, or from variables. */
    interface RegistrySpec {
        /** {@code host:port} of those that speak plain HTTP; those on the loopback may. */
        SetProperty<String> getInsecure();

        /** Certificates in PEM that are trusted besides the usual ones. */
        RegularFileProperty getAuthorities();

        /** Name of the environment variable with the user; its value is never stored. */
        Property<String> getUserVariable();

        /** Name of the environment variable with the password; its value is never stored. */
        Property<String> getPasswordVariable();
    }

    /** The artifact store of this machine. */
    interface StoreSpec {
        /**
         * Its folder; {@code testfleet} in the user's cache folder, or what {@code TESTFLEET_STORE}
         * says, unless set.
         */
        DirectoryProperty getDir();

        /** Most bytes of all that it keeps, such as {@code 10G}; {@code 10G} unless set. */
        Property<String> getMaxSize();

        /** What was not used for so many days goes; 30 unless set. */
        Property<Integer> getMaxAgeDays();
    }
}
