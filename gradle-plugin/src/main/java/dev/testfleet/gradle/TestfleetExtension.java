package dev.testfleet.gradle;

import org.gradle.api.Action;
import org.gradle.api.file.DirectoryProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;
import org.gradle.api.provider.SetProperty;
import org.gradle.api.tasks.Nested;

import java.io.File;

/** The block {@code testfleet { }}: defaults of all Testfleet tasks of a build. */
public interface TestfleetExtension extends PlanningOptions {
    /**
     * Where workers are started: {@code local}, which it is unless set, {@code docker} or {@code
     * kubernetes}.
     */
    Property<String> getBackend();

    /** How many workers; as many as there are processors unless set. */
    Property<Integer> getWorkers();

    /**
     * Names of the Test tasks whose tests are run, in every module that has them; {@code test}
     * unless set.
     */
    SetProperty<String> getTestTasks();

    /**
     * Testfleet's own documents: request, plan, bundle, runs; {@code build/testfleet} unless set.
     */
    DirectoryProperty getOutputDir();

    /** JUnit XML; {@code build/test-results/runParallel} unless set. */
    DirectoryProperty getResultsDir();

    /** The HTML report and {@code summary.json}; {@code build/reports/testfleet} unless set. */
    DirectoryProperty getReportsDir();

    /** Whether bad tests are only reported; false unless set. */
    Property<Boolean> getIgnoreFailures();

    /**
     * Names of environment variables that workers on other machines get; their values are read when
     * a run starts and never stored. Local workers have the whole environment of the Gradle call.
     */
    SetProperty<String> getPassEnvironment();

    /**
     * Folders outside the root project, the output folder and the Gradle user home that tests need
     * files from, by a name of your choice. Stored paths are relative to them.
     */
    MapProperty<String, File> getRoots();

    /**
     * How far workers of one host are kept apart: {@code none} (they have their own folders for
     * temporary files), {@code directory} (also for home, caches and preferences) or {@code
     * namespace} (on Linux besides that an own network, own /tmp, own processes).
     */
    Property<String> getIsolation();

    /**
     * Whether {@code runParallel} goes on with the last run when that did not come to its end and
     * the build is still the same: {@code off}, or {@code auto}, for CI systems that try again.
     */
    Property<String> getResume();

    /**
     * Further files that come back from workers, as Ant patterns relative to the Test task's
     * working directory.
     */
    ListProperty<String> getCollect();

    /**
     * Up to which size all that one test writes to a stream is kept in a file, when it is too much
     * for the reports: {@code '10g'}; {@code '0'} keeps no such file.
     */
    Property<String> getOutputLimit();

    /** Whether bad tests are tried again. */
    @Nested
    RetriesSpec getRetries();

    /** Whether bad tests are tried again. */
    default void retries(Action<? super RetriesSpec> action) {
        action.execute(getRetries());
    }

    /** How long things may take. */
    @Nested
    TimeoutsSpec getTimeouts();

    /** How long things may take. */
    default void timeouts(Action<? super TimeoutsSpec> action) {
        action.execute(getTimeouts());
    }

    /** What must hold between test classes. */
    @Nested
    ConstraintsSpec getConstraints();

    /** What must hold between test classes. */
    default void constraints(Action<? super ConstraintsSpec> action) {
        action.execute(getConstraints());
    }

    /** Where timings and passed units are shared with other machines. */
    @Nested
    HistorySpec getHistory();

    /** Where timings and passed units are shared with other machines. */
    default void history(Action<? super HistorySpec> action) {
        action.execute(getHistory());
    }

    /** How workers in containers are started. */
    @Nested
    DockerSpec getDocker();

    /** How workers in containers are started. */
    default void docker(Action<? super DockerSpec> action) {
        action.execute(getDocker());
    }

    /** How workers in pods of a Kubernetes cluster are started. */
    @Nested
    KubernetesSpec getKubernetes();

    /** How workers in pods of a Kubernetes cluster are started. */
    default void kubernetes(Action<? super KubernetesSpec> action) {
        action.execute(getKubernetes());
    }

    /** What images are made of, how they are called and where they go. */
    @Nested
    ImageSpec getImage();

    /** What images are made of, how they are called and where they go. */
    default void image(Action<? super ImageSpec> action) {
        action.execute(getImage());
    }
}
