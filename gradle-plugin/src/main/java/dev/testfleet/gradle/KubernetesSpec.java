package dev.testfleet.gradle;

import org.gradle.api.Action;
import org.gradle.api.NamedDomainObjectContainer;
import org.gradle.api.file.RegularFileProperty;
import org.gradle.api.provider.ListProperty;
import org.gradle.api.provider.MapProperty;
import org.gradle.api.provider.Property;

import java.time.Duration;

/**
 * The block {@code kubernetes { }}: how workers in pods are started. Quantities are in Kubernetes'
 * own notation: {@code '500m'}, {@code '2Gi'}.
 */
public interface KubernetesSpec {
    /**
     * The file that says how the cluster is reached. Unless set the variable {@code KUBECONFIG},
     * {@code ~/.kube/config}, or the pod that the build runs in.
     */
    RegularFileProperty getKubeconfig();

    /** A context of the kubeconfig; its current one unless set. */
    Property<String> getContext();

    /** Where job, pods and secrets are made; the context's namespace unless set. */
    Property<String> getNamespace();

    /** What each worker asks of its node: {@code [cpu: '1', memory: '2Gi']}. */
    MapProperty<String, String> getRequests();

    /** What each worker gets at the most. */
    MapProperty<String, String> getLimits();

    /** Labels of the nodes that are taken. */
    MapProperty<String, String> getNodeSelector();

    /**
     * Taints of nodes that are taken all the same, as {@code kubectl taint} has them: {@code
     * 'ci=tests:NoSchedule'}, {@code 'ci:NoSchedule'} for any value, {@code 'ci'} for any effect.
     */
    ListProperty<String> getTolerations();

    /** Name of a priority class. */
    Property<String> getPriorityClass();

    /** Name of a service account; tests do not get its token. */
    Property<String> getServiceAccount();

    /** Names of secrets with logins of registries. */
    ListProperty<String> getPullSecrets();

    /** Name of a runtime class. */
    Property<String> getRuntimeClass();

    /** Labels of all that is made in the cluster. */
    MapProperty<String, String> getLabels();

    /** Annotations of the job and its pods. */
    MapProperty<String, String> getAnnotations();

    /**
     * The user that workers run as, {@code '1000'} or {@code '1000:1000'}; the image's unless set.
     */
    Property<String> getUser();

    /** Whether workers can write to {@code /tmp} alone. */
    Property<Boolean> getReadOnlyRoot();

    /**
     * Whether nodes are fine that can be taken away at any time: the taints of the large clouds for
     * them are tolerated, and pods end within 15 seconds.
     */
    Property<Boolean> getPreemptible();

    /** How long a pod that has to go may take; 30 seconds, or 15 for preemptible ones. */
    Property<Duration> getTerminationGrace();

    /** A pod template in YAML that is merged over what this block says. */
    RegularFileProperty getPodTemplate();

    /** Kueue's queue, which starts the job when there is room. */
    Property<String> getQueueName();

    /** How many workers have to run within {@link #getStartTimeout()}; 1 unless set. */
    Property<Integer> getMinWorkers();

    /** How long pods may take to start; 10 minutes unless set. */
    Property<Duration> getStartTimeout();

    /** After this the cluster ends the job, whatever becomes of the build; a day unless set. */
    Property<Duration> getDeadline();

    /** Whether job and pods stay when the run has ended, to be looked at. */
    Property<Boolean> getKeep();

    /** Containers that each worker has beside it, by name. */
    NamedDomainObjectContainer<ServiceSpec> getServices();

    /** Containers that each worker has beside it, by name. */
    default void services(Action<? super NamedDomainObjectContainer<ServiceSpec>> action) {
        action.execute(getServices());
    }
}
