package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.HistorySpec;

import org.gradle.api.provider.Provider;
import org.gradle.api.provider.ProviderFactory;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The shared history's defaults, and its form in the request. */
public final class History {
    /** Variables in which CI systems tell the branch; that of a pull request's source first. */
    private static final List<String> BRANCH_VARIABLES =
            List.of(
                    "GITHUB_HEAD_REF",
                    "GITHUB_REF_NAME",
                    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
                    "CI_COMMIT_REF_NAME",
                    "CHANGE_BRANCH",
                    "BRANCH_NAME",
                    "BUILDKITE_BRANCH",
                    "CIRCLE_BRANCH",
                    "BITBUCKET_BRANCH");

    private History() {}

    /** What holds unless the build says something else. */
    public static void setConventions(HistorySpec history, ProviderFactory providers) {
        history.getFallbackBranch().convention("main");
        history.getPublish().convention(false);
        history.getJournal().convention(false);
        history.getExpireDays().convention(90);
        Provider<String> branch = history.getFallbackBranch();
        for (int index = BRANCH_VARIABLES.size() - 1; index >= 0; index--) {
            // GitHub sets GITHUB_HEAD_REF to nothing outside of pull requests.
            branch =
                    providers
                            .environmentVariable(BRANCH_VARIABLES.get(index))
                            .map(it -> it.isBlank() ? null : it)
                            .orElse(branch);
        }
        history.getBranch().convention(branch);
    }

    /** The history as the request has it; empty when nothing is shared. */
    public static Map<String, Object> describe(HistorySpec history) {
        Map<String, Object> described = new LinkedHashMap<>();
        if (history.getLocation().isPresent()) {
            described.put("location", history.getLocation().get());
            described.put("branch", history.getBranch().get());
            described.put("fallbackBranch", history.getFallbackBranch().get());
            described.put("publish", history.getPublish().get());
            described.put("journal", history.getJournal().get());
            described.put("expireDays", history.getExpireDays().get());
            if (history.getUserVariable().isPresent()) {
                described.put("userVariable", history.getUserVariable().get());
            }
            if (history.getPasswordVariable().isPresent()) {
                described.put("passwordVariable", history.getPasswordVariable().get());
            }
        }
        return described;
    }
}
