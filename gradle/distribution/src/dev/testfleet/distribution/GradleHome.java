package dev.testfleet.distribution;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/** A Gradle home that is put together from gradle-api and the libraries that it names. */
final class GradleHome {
    private static final String AGENT = "gradle-instrumentation-agent";
    private static final String AGENT_CLASS = "org.gradle.instrumentation.agent.Agent";
    private static final String COMPILER = "gradle-java-compiler-plugin";
    private static final String TEST_KIT = "gradle-test-kit";

    // The stand-in for the module COMPILER doesn't record which constants a compiler inlined, so
    // incremental compilation would leave classes with old values behind.
    private static final String FULL_COMPILATION =
            """
            gradle.lifecycle.beforeProject {
                tasks.withType(JavaCompile).configureEach { options.incremental = false }
            }
            """;

    private final String version;
    private final Path downloads;
    private final Path standIns;

    /**
     * A home of Gradle {@code version}.
     *
     * @param downloads folder with gradle-api, gradle-test-kit and the external libraries
     * @param standIns folder with the sources of the modules that gradle-api lacks, a folder each
     */
    GradleHome(String version, Path downloads, Path standIns) {
        this.version = version;
        this.downloads = downloads;
        this.standIns = standIns;
    }

    /** Writes the home into the folder {@code home}, which doesn't exist yet. */
    void write(Path home) throws IOException {
        Path lib = Files.createDirectories(home.resolve("lib"));
        Path plugins = Files.createDirectories(lib.resolve("plugins"));
        Path agents = Files.createDirectories(lib.resolve("agents"));

        GradleModules modules = GradleModules.of(download("gradle-api-"));
        modules.add(download(TEST_KIT));
        addStandIns(modules, home);
        // Worker processes, that of validatePlugins for one, get this module by way of the Kotlin
        // DSL's
        // modules, which gradle-api lacks.
        modules.addDependency("gradle-plugin-use", "gradle-build-events");
        modules.get("gradle-core").put("gradle-kotlin-dsl-versions.properties", kotlin(modules));
        modules.get(AGENT).manifest("Premain-Class", AGENT_CLASS);
        modules.get(AGENT).manifest("Agent-Class", AGENT_CLASS);
        String main = mainModule(modules);
        modules.get(main).manifest("Main-Class", "org.gradle.launcher.GradleMain");
        modules.get(main)
                .manifest("Class-Path", String.join(" ", modules.runtimeJars(main, version)));

        Set<String> pluginModules = pluginModules(modules);
        for (var module : modules.byName().entrySet()) {
            String name = module.getKey();
            Path folder =
                    pluginModules.contains(name) ? plugins : name.equals(AGENT) ? agents : lib;
            module.getValue().write(folder.resolve(name + "-" + version + ".jar"));
        }
        for (String jar : modules.externalJars()) {
            Path downloaded = downloads.resolve(jar);
            if (Files.exists(downloaded)) {
                Files.copy(downloaded, lib.resolve(jar));
            } else {
                modules.bundledLibrary(jar).write(lib.resolve(jar));
            }
        }
        writeLauncher(home, main);
    }

    private void addStandIns(GradleModules modules, Path home) throws IOException {
        List<Path> folders;
        try (Stream<Path> list = Files.list(standIns)) {
            folders = list.sorted().toList();
        }
        for (Path folder : folders) {
            String name = folder.getFileName().toString();
            if (modules.byName().containsKey(name)) {
                continue;
            }
            modules.add(name, compile(folder));
            if (name.equals(COMPILER)) {
                Path scripts = Files.createDirectories(home.resolve("init.d"));
                Files.writeString(scripts.resolve("full-compilation.gradle"), FULL_COMPILATION);
            }
        }
    }

    private static JarContent compile(Path sources) throws IOException {
        Path classes = Files.createTempDirectory("stand-in");
        try {
            List<String> arguments = new ArrayList<>();
            arguments.addAll(List.of("--release", "11", "-nowarn", "-Xlint:-options"));
            arguments.addAll(List.of("-d", classes.toString()));
            FileTrees.files(sources).forEach(source -> arguments.add(source.toString()));
            JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
            if (compiler.run(null, null, null, arguments.toArray(String[]::new)) != 0) {
                throw new IOException("the stand-in " + sources + " does not compile");
            }
            JarContent content = new JarContent();
            for (Path file : FileTrees.files(classes)) {
                String name = classes.relativize(file).toString().replace('\\', '/');
                content.put(name, Files.readAllBytes(file));
            }
            return content;
        } finally {
            FileTrees.delete(classes);
        }
    }

    private static String mainModule(GradleModules modules) {
        String newer = "gradle-gradle-cli-main";
        return modules.byName().containsKey(newer) ? newer : "gradle-launcher";
    }

    private static Set<String> pluginModules(GradleModules modules) throws IOException {
        Set<String> plugins = new HashSet<>(Set.of(TEST_KIT));
        for (JarContent module : modules.byName().values()) {
            plugins.addAll(module.list("gradle-plugins.properties", "plugins"));
        }
        return plugins;
    }

    private static String kotlin(GradleModules modules) throws IOException {
        String version =
                modules.externalJars().stream()
                        .filter(jar -> jar.matches("kotlin-stdlib-\\d.*\\.jar"))
                        .map(jar -> jar.replaceAll("kotlin-stdlib-|\\.jar", ""))
                        .findFirst()
                        .orElse("0");
        return "provider=0\npublished-kotlin-dsl-plugin=0\nkotlin=" + version + "\n";
    }

    private Path download(String prefix) throws IOException {
        try (Stream<Path> jars = Files.list(downloads)) {
            return jars.filter(jar -> jar.getFileName().toString().startsWith(prefix))
                    .findFirst()
                    .orElseThrow(() -> new IOException("there is no jar " + prefix + "*"));
        }
    }

    private void writeLauncher(Path home, String mainModule) throws IOException {
        Path launcher = Files.createDirectories(home.resolve("bin")).resolve("gradle");
        Files.writeString(
                launcher,
                """
                #!/bin/sh
                home=$(dirname "$(dirname "$(readlink -f "$0")")")
                exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx64m -Xms64m \\
                  --add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED \\
                  $JAVA_OPTS $GRADLE_OPTS -Dorg.gradle.appname=gradle \\
                  -classpath "$home/lib/%s-%s.jar" org.gradle.launcher.GradleMain "$@"
                """
                        .formatted(mainModule, version));
        if (!launcher.toFile().setExecutable(true, false)) {
            throw new IOException("could not make " + launcher + " executable");
        }
    }
}
