package dev.testfleet.functional;

import groovy.json.JsonSlurper;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** A document that the plugin wrote: the description of a Test task, or a request. */
final class Description {
    private final Map<?, ?> json;

    private Description(Object json) {
        this.json = (Map<?, ?>) json;
    }

    /** What the Test task {@code name} of the project in {@code folder} says. */
    static Description ofTask(GradleBuild build, String folder, String name) throws IOException {
        Path file = Path.of(folder).resolve("build/testfleet-module/" + name + ".json");
        return new Description(new JsonSlurper().parseText(build.read(file.toString())));
    }

    /** The request that the last command left. */
    static Description request(GradleBuild build) throws IOException {
        return new Description(
                new JsonSlurper().parseText(build.read("build/testfleet/request.json")));
    }

    /** A value of the document as text. */
    String text(String key) {
        return String.valueOf(json.get(key));
    }

    /** An object in the document. */
    Description object(String key) {
        return new Description(json.get(key));
    }

    /** All values of the document as texts. */
    Map<String, String> asTexts() {
        return json.entrySet().stream()
                .collect(
                        Collectors.toMap(
                                entry -> (String) entry.getKey(),
                                entry -> String.valueOf(entry.getValue())));
    }

    /** A list of texts. */
    List<String> texts(String key) {
        return ((List<?>) json.get(key)).stream().map(String::valueOf).collect(Collectors.toList());
    }

    /** The file names in a list of paths. */
    List<String> fileNames(String key) {
        return texts(key).stream()
                .map(path -> Path.of(path).getFileName().toString())
                .collect(Collectors.toList());
    }

    /** The paths of the Test tasks in a request. */
    List<String> taskPaths() {
        return ((List<?>) json.get("tasks"))
                .stream()
                        .map(task -> new Description(task).text("path"))
                        .collect(Collectors.toList());
    }
}
