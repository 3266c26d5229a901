package dev.testfleet.gradle;

import org.gradle.api.Action;
import org.gradle.api.NamedDomainObjectContainer;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.provider.Property;

/** The block {@code docker { }}: how workers in containers are started. */
public interface DockerSpec {
    /**
     * Where Docker is: {@code unix:///run/docker.sock} or {@code tcp://host:2376}. Unless set what
     * the variable {@code DOCKER_HOST}, Docker's own context or this machine say.
     */
    Property<String> getHost();

    /** A folder with {@code ca.pem}, {@code cert.pem} and {@code key.pem} for Docker over TLS. */
    DirectoryProperty getCertPath();

    /** Processors of each worker, also parts of one, such as {@code 1.5}; no limit unless set. */
    Property<Number> getCpus();

    /** Memory of each worker, such as {@code '2g'}; no limit unless set. */
    Property<String> getMemory();

    /**
     * {@code bridge}, {@code none} or the name of a network that is there. Unless set {@code
     * bridge}, or with services a network of each worker's own.
     */
    Property<String> getNetwork();

    /** Whether workers can write to {@code /tmp} alone, which is in memory then. */
    Property<Boolean> getReadOnlyRoot();

    /** Size of {@code /tmp} in memory, such as {@code '512m'}. */
    Property<String> getTmpfsSize();

    /** The user that workers run as, {@code 1000:1000}; that of the image unless set. */
    Property<String> getUser();

    /** Whether images are pulled: {@code missing}, {@code always} or {@code never}. */
    Property<String> getPull();

    /** Whether containers stay when the run has ended, to be looked at. */
    Property<Boolean> getKeep();

    /** Containers that each worker has beside it, by name. */
    NamedDomainObjectContainer<ServiceSpec> getServices();

    /** Containers that each worker has beside it, by name. */
    default void services(Action<? super NamedDomainObjectContainer<ServiceSpec>> action) {
        action.execute(getServices());
    }
}
