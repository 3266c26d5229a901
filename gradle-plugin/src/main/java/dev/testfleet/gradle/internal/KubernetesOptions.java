package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.KubernetesSpec;

import org.gradle.api.provider.Property;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** How workers in pods are started: defaults, and the form in the request. */
public final class KubernetesOptions {
    private static final Pattern TAINT = Pattern.compile("([^=:]+)(?:=([^:]*))?(?::(\\w+))?");
    private static final List<String> EFFECTS =
            List.of("NoSchedule", "PreferNoSchedule", "NoExecute");

    private KubernetesOptions() {}

    /** What holds unless the build says something else. */
    public static void setConventions(KubernetesSpec kubernetes) {
        kubernetes.getReadOnlyRoot().convention(false);
        kubernetes.getPreemptible().convention(false);
        kubernetes.getKeep().convention(false);
        kubernetes.getMinWorkers().convention(1);
        kubernetes.getStartTimeout().convention(Duration.ofMinutes(10));
        kubernetes.getDeadline().convention(Duration.ofDays(1));
        Services.setConventions(kubernetes.getServices());
    }

    /** The options as the request has them. */
    public static Map<String, Object> describe(KubernetesSpec kubernetes) {
        Map<String, Object> described = new LinkedHashMap<>();
        put(described, "kubeconfig", kubernetes.getKubeconfig().getAsFile().getOrNull());
        put(described, "context", kubernetes.getContext().getOrNull());
        put(described, "namespace", kubernetes.getNamespace().getOrNull());
        described.put("requests", kubernetes.getRequests().get());
        described.put("limits", kubernetes.getLimits().get());
        described.put("nodeSelector", kubernetes.getNodeSelector().get());
        List<Map<String, Object>> tolerations = new ArrayList<>();
        kubernetes.getTolerations().get().forEach(it -> tolerations.add(toleration(it)));
        described.put("tolerations", tolerations);
        put(described, "priorityClass", kubernetes.getPriorityClass().getOrNull());
        put(described, "serviceAccount", kubernetes.getServiceAccount().getOrNull());
        described.put("pullSecrets", kubernetes.getPullSecrets().get());
        put(described, "runtimeClass", kubernetes.getRuntimeClass().getOrNull());
        described.put("labels", kubernetes.getLabels().get());
        described.put("annotations", kubernetes.getAnnotations().get());
        put(described, "user", kubernetes.getUser().getOrNull());
        described.put("readOnlyRoot", kubernetes.getReadOnlyRoot().get());
        described.put("preemptible", kubernetes.getPreemptible().get());
        if (kubernetes.getTerminationGrace().isPresent()) {
            long grace = seconds("terminationGrace", kubernetes.getTerminationGrace());
            described.put("terminationGraceSeconds", grace);
        }
        put(described, "podTemplate", kubernetes.getPodTemplate().getAsFile().getOrNull());
        put(described, "queueName", kubernetes.getQueueName().getOrNull());
        described.put("minWorkers", kubernetes.getMinWorkers().get());
        described.put("startTimeoutMs", kubernetes.getStartTimeout().get().toMillis());
        described.put("deadlineSeconds", seconds("deadline", kubernetes.getDeadline()));
        described.put("keep", kubernetes.getKeep().get());
        described.put("services", Services.describe("kubernetes", kubernetes.getServices()));
        return described;
    }

    /** {@code key=value:Effect}, {@code key:Effect} or {@code key}. */
    private static Map<String, Object> toleration(String text) {
        Matcher taint = TAINT.matcher(text.trim());
        boolean known =
                taint.matches() && (taint.group(3) == null || EFFECTS.contains(taint.group(3)));
        if (!known) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to tolerate the taint `" + text + "`",
                    "it is not written as key=value:Effect, key:Effect or key",
                    "for example: tolerations = ['ci=tests:NoSchedule']; effects are " + EFFECTS);
        }
        Map<String, Object> toleration = new LinkedHashMap<>();
        toleration.put("key", taint.group(1));
        toleration.put("operator", taint.group(2) == null ? "Exists" : "Equal");
        put(toleration, "value", taint.group(2));
        put(toleration, "effect", taint.group(3));
        return toleration;
    }

    private static long seconds(String option, Property<Duration> time) {
        Duration duration = time.get();
        if (duration.getSeconds() < 1) {
            throw Failures.exception(
                    "invalid-request",
                    "failed to choose kubernetes." + option + ": " + duration,
                    "the cluster counts whole seconds",
                    "for example: " + option + " = Duration.ofMinutes(1)");
        }
        return duration.getSeconds();
    }

    private static void put(Map<String, Object> described, String name, Object value) {
        if (value != null) {
            described.put(name, value);
        }
    }
}
