package dev.testfleet.gradle.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.gradle.KubernetesSpec;

import org.gradle.testfixtures.ProjectBuilder;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;
import java.util.List;
import java.util.Map;

class KubernetesOptionsTest {
    private KubernetesSpec kubernetes;

    @BeforeEach
    void setUp() {
        kubernetes =
                ProjectBuilder.builder().build().getObjects().newInstance(KubernetesSpec.class);
        KubernetesOptions.setConventions(kubernetes);
    }

    @Test
    void unsetOptionsAreLeftToTheEngine() {
        Map<String, Object> described = KubernetesOptions.describe(kubernetes);
        for (String name : List.of("namespace", "podTemplate", "user", "terminationGraceSeconds")) {
            assertFalse(described.containsKey(name), name);
        }
        assertEquals(600_000L, described.get("startTimeoutMs"));
        assertEquals(86_400L, described.get("deadlineSeconds"));
    }

    @Test
    void tolerationsAreReadAsTaintsAreWritten() {
        kubernetes
                .getTolerations()
                .set(List.of("ci=tests:NoSchedule", "spot:NoExecute", "example.com/any", "a="));
        assertEquals(
                List.of(
                        Map.of(
                                "key",
                                "ci",
                                "operator",
                                "Equal",
                                "value",
                                "tests",
                                "effect",
                                "NoSchedule"),
                        Map.of("key", "spot", "operator", "Exists", "effect", "NoExecute"),
                        Map.of("key", "example.com/any", "operator", "Exists"),
                        Map.of("key", "a", "operator", "Equal", "value", "")),
                KubernetesOptions.describe(kubernetes).get("tolerations"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "=x", "a:Never", "a=b:NoSchedule:more", ":NoSchedule"})
    void whatIsNoTaintIsRefused(String taint) {
        kubernetes.getTolerations().set(List.of(taint));
        String told =
                assertThrows(RuntimeException.class, () -> KubernetesOptions.describe(kubernetes))
                        .getMessage();
        assertTrue(told.contains("failed to tolerate the taint"), told);
    }

    @Test
    void partsOfSecondsAreRefused() {
        kubernetes.getTerminationGrace().set(Duration.ofMillis(500));
        String told =
                assertThrows(RuntimeException.class, () -> KubernetesOptions.describe(kubernetes))
                        .getMessage();
        assertTrue(told.contains("failed to choose kubernetes.terminationGrace"), told);
    }

    @Test
    void servicesAreDescribedAsForDocker() {
        kubernetes.getServices().create("db", it -> it.getImage().set("postgres:16"));
        Map<?, ?> services = (Map<?, ?>) KubernetesOptions.describe(kubernetes).get("services");
        Map<?, ?> database = (Map<?, ?>) services.get("db");
        assertEquals("postgres:16", database.get("image"));
        assertEquals(60_000L, database.get("readyWithinMs"));
    }
}
