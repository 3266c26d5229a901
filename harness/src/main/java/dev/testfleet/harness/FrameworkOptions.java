package dev.testfleet.harness;

import dev.testfleet.harness.wire.ToHarness.Option;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A framework's options by name; each may have several values. */
public final class FrameworkOptions {
    private final Map<String, List<String>> values = new LinkedHashMap<>();

    public FrameworkOptions(List<Option> options) {
        for (Option option : options) {
            values.computeIfAbsent(option.name, name -> new ArrayList<>()).add(option.value);
        }
    }

    /** All values; empty when there are none. */
    public List<String> all(String name) {
        return values.getOrDefault(name, Collections.<String>emptyList());
    }

    /** The last value; null when there is none. */
    public String last(String name) {
        List<String> all = all(name);
        return all.isEmpty() ? null : all.get(all.size() - 1);
    }

    /**
     * Refuses names that the framework does not know: an option must never be lost in silence.
     *
     * @throws HarnessFault naming the option
     */
    public void checkNames(String framework, List<String> known) throws HarnessFault {
        for (String name : values.keySet()) {
            if (!known.contains(name)) {
                throw new HarnessFault(
                        "failed to configure " + framework + ": unknown option " + name,
                        "agent and harness must come from the same Testfleet version",
                        null);
            }
        }
    }
}
