package dev.testfleet.gradle.internal.describe;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Finds what a build script copied from a secret variable of the Gradle call, such as {@code
 * environment 'DB_PASSWORD', System.getenv('CI_TOKEN')}: unlike the variable itself, the copy is
 * part of the documents that Testfleet writes.
 */
final class CopiedSecrets {
    // A name that ends a word with one of these: MY_APIKEY and KEYS_OF_CI, but not KEYBOARD; AUTH
    // and
    // AUTHORIZATION, but not GIT_AUTHOR_NAME.
    private static final Pattern SECRET_NAME =
            Pattern.compile(
                    "TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?!OR(?!IZ))|KEYS?(?![A-Z])",
                    Pattern.CASE_INSENSITIVE);

    // Shorter ones are rather words, such as "true", and found in many values by chance.
    private static final int MIN_LENGTH = 8;

    private final Map<String, String> secrets;

    /**
     * @param inherited the environment of the Gradle call
     */
    CopiedSecrets(Map<String, String> inherited) {
        this.secrets =
                inherited.entrySet().stream()
                        .filter(it -> isSecret(it.getKey(), it.getValue()))
                        .collect(
                                Collectors.toMap(
                                        Map.Entry::getKey,
                                        Map.Entry::getValue,
                                        (first, second) -> first,
                                        TreeMap::new));
    }

    // The path of a socket or of a key file, as in SSH_AUTH_SOCK, may be known to everybody.
    private static boolean isSecret(String name, String value) {
        return value.length() >= MIN_LENGTH
                && SECRET_NAME.matcher(name).find()
                && !new File(value).exists();
    }

    /**
     * What to tell the user about the settings of a Test task: a sentence for each that holds the
     * value of a secret variable, with names and without values.
     *
     * @param testTask path of the Test task
     * @param kind what the settings are, such as "environment variable"
     * @param settings values by name
     */
    List<String> warnings(String testTask, String kind, Map<String, String> settings) {
        List<String> warnings = new ArrayList<>();
        new TreeMap<>(settings)
                .forEach(
                        (name, value) ->
                                copiedTo(value)
                                        .forEach(
                                                secret ->
                                                        warnings.add(
                                                                warning(
                                                                        testTask,
                                                                        kind + " " + name,
                                                                        secret))));
        return warnings;
    }

    /** The same for the JVM arguments of a Test task, which have no names. */
    List<String> warnings(String testTask, List<String> jvmArguments) {
        return jvmArguments.stream()
                .flatMap(argument -> copiedTo(argument).stream())
                .distinct()
                .map(secret -> warning(testTask, "JVM argument", secret))
                .collect(Collectors.toList());
    }

    private List<String> copiedTo(String value) {
        return secrets.entrySet().stream()
                .filter(secret -> value.contains(secret.getValue()))
                .map(Map.Entry::getKey)
                .collect(Collectors.toList());
    }

    private static String warning(String testTask, String holder, String secret) {
        return "Testfleet: the build copies the value of "
                + secret
                + " to the "
                + holder
                + " of "
                + testTask
                + ", so that it is written to request.json and bundle.json."
                + "\n  hint: let the tests read "
                + secret
                + " itself, which local workers have anyway, and others with testfleet {"
                + " passEnvironment = ['"
                + secret
                + "'] }";
    }
}
