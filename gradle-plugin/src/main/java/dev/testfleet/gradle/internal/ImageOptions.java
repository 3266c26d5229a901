package dev.testfleet.gradle.internal;

import dev.testfleet.gradle.ImageSpec;

import org.gradle.api.provider.Property;
import org.gradle.api.provider.Provider;

import java.io.File;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/** What images are made of and where they go: defaults, and the form in the request. */
public final class ImageOptions {
    private static final List<String> COMPRESSIONS = List.of("auto", "none", "gzip", "zstd");
    private static final List<String> TARGETS = List.of("registry", "docker");

    private ImageOptions() {}

    /** What holds unless the build says something else. */
    public static void setConventions(ImageSpec image) {
        image.getBase().convention("none");
        image.getCompression().convention("auto");
        image.getPerWorker().convention(false);
        image.getClassDataSharing().convention(false);
        image.getDependencyCache().convention(false);
        image.getDevelopment().convention(false);
    }

    /**
     * The options as the request has them. All maps are ones that the configuration cache of Gradle
     * 8.8 can read back, which those of Map.of are not.
     */
    public static Map<String, Object> describe(ImageSpec image) {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("base", base(image));
        put(described, "name", image.getName());
        described.put("tags", new ArrayList<>(image.getTags().get()));
        List<String> targets = new ArrayList<>(new TreeSet<>(image.getTo().get()));
        String to = "testfleet { image { to = ['registry'] } }";
        targets.forEach(target -> Choices.oneOf("image.to", target, TARGETS, to));
        described.put("to", targets);
        put(described, "platform", image.getPlatform());
        String compression = image.getCompression().get();
        String example = "testfleet { image { compression = 'gzip' } }";
        described.put(
                "compression",
                Choices.oneOf("image.compression", compression, COMPRESSIONS, example));
        put(described, "addJava", image.getAddJava());
        described.put("files", new TreeMap<>(image.getFiles().get()));
        described.put("environment", new TreeMap<>(image.getEnvironment().get()));
        put(described, "user", image.getUser());
        put(described, "workingDir", image.getWorkingDir());
        described.put("commandPrefix", new ArrayList<>(image.getCommandPrefix().get()));
        described.put("allowedSecrets", new ArrayList<>(image.getAllowedSecrets().get()));
        described.put("perWorker", image.getPerWorker().get());
        described.put("classDataSharing", image.getClassDataSharing().get());
        described.put("dependencyCache", image.getDependencyCache().get());
        described.put("registry", registry(image.getRegistry()));
        described.put("store", store(image.getStore()));
        return described;
    }

    private static Map<String, Object> base(ImageSpec image) {
        Map<String, Object> base = new LinkedHashMap<>();
        if (image.getBaseFile().isPresent()) {
            if (!image.getBase().get().equals("none")) {
                throw Failures.exception(
                        "invalid-request",
                        "failed to choose what the image stands on",
                        "both image.base and image.baseFile are set",
                        "leave one of them out");
            }
            base.put("type", "path");
            base.put("path", image.getBaseFile().get().getAsFile());
        } else if (image.getBase().get().equals("none")) {
            base.put("type", "none");
        } else {
            base.put("type", "registry");
            base.put("reference", image.getBase().get());
        }
        return base;
    }

    private static Map<String, Object> registry(ImageSpec.RegistrySpec registry) {
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("insecure", new ArrayList<>(new TreeSet<>(registry.getInsecure().get())));
        put(described, "authorities", registry.getAuthorities().map(it -> it.getAsFile()));
        put(described, "userVariable", registry.getUserVariable());
        put(described, "passwordVariable", registry.getPasswordVariable());
        return described;
    }

    private static Map<String, Object> store(ImageSpec.StoreSpec store) {
        Map<String, Object> described = new LinkedHashMap<>();
        Provider<File> dir = store.getDir().getAsFile();
        put(described, "dir", dir);
        Property<Integer> days = store.getMaxAgeDays();
        if (days.isPresent() && days.get() < 0) {
            throw unfit("maxAgeDays", days.get(), "it is less than 0", "maxAgeDays = 30");
        }
        put(described, "maxAgeDays", days);
        if (store.getMaxSize().isPresent()) {
            String example = "testfleet { image { store { maxSize = '10G' } } }";
            String size = store.getMaxSize().get();
            described.put("maxSize", Sizes.bytes("image.store.maxSize", size, example));
        }
        return described;
    }

    private static void put(Map<String, Object> described, String name, Provider<?> value) {
        if (value.isPresent()) {
            described.put(name, value.get());
        }
    }

    private static EngineException unfit(String name, Object value, String why, String example) {
        return Failures.exception(
                "invalid-request",
                "failed to understand the value '" + value + "' of the option image.store." + name,
                why,
                "for example: testfleet { image { store { " + example + " } } }");
    }
}
