package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.AgentSide;

import org.junit.jupiter.api.Test;

import java.util.List;

/** A harness that can't work says why and what to do. */
class FaultTest {
    private static String fault(HarnessRun run) throws Exception {
        List<String> results = run.run().results();
        assertEquals(1, results.size(), results::toString);
        assertTrue(results.get(0).startsWith("fault "), results::toString);
        return results.get(0);
    }

    private static void assertContains(String text, String part) {
        assertTrue(text.contains(part), text);
    }

    @Test
    void aFrameworkThatIsNotOnTheClassPath() throws Exception {
        assertContains(
                fault(HarnessRun.of("junit4", "junit-platform")),
                "failed to find the JUnit Platform launcher");
        assertContains(fault(HarnessRun.of("testng7", "junit4")), "failed to find JUnit 4");
        assertContains(fault(HarnessRun.of("junit4", "testng")), "failed to find TestNG");
    }

    @Test
    void aLauncherWithoutEngines() throws Exception {
        assertContains(fault(HarnessRun.of("launcherAlone", "junit-platform")), "TestEngine");
    }

    @Test
    void unknownNames() throws Exception {
        assertContains(fault(HarnessRun.of("junit4", "spock")), "named spock");
        assertContains(
                fault(HarnessRun.of("junit4", "junit4", "includeTags", "x")),
                "unknown option includeTags");
        assertContains(
                fault(HarnessRun.of("junit4", "junit4", "includeCategories", "no.Such")),
                "category no.Such");
        assertContains(
                fault(HarnessRun.of("testng7", "testng", "listeners", "no.Listener")),
                "listener no.Listener");
    }

    @Test
    void aFrameworkThatGivesUpForLackOfMemory() throws Exception {
        String fault =
                fault(
                        HarnessRun.of("junitPlatform111", "junit-platform")
                                .whole("jupiter.OutOfMemory", "all()"));
        assertContains(fault, "java.lang.OutOfMemoryError: on purpose");
        assertContains(fault, "at fixtures.jupiter.OutOfMemory.all");
    }

    @Test
    void anotherProtocol() throws Exception {
        List<String> results =
                HarnessRun.of("junit4", "junit4")
                        .say(AgentSide.configure(1, "junit4", List.of()))
                        .run()
                        .results();
        assertContains(results.get(0), "configured a running harness");
    }
}
