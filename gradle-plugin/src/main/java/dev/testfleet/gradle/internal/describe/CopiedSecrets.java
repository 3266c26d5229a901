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
 *
 * <p>An image is refused by the same rules (native/image/src/secrets/copied.rs);
 * tests/vectors/copied-secrets.txt holds both together.
 */
final class CopiedSecrets {
    // MY_APIKEY and KEYS_OF_CI, but not KEYBOARD; AUTH and AUTHORIZATION, but not GIT_AUTHOR_NAME.
    private static final Pattern SECRET_NAME =
            Pattern.compile(
                    "(?i)TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?:[^O]|O[^R]|ORIZ|O?$)|KEYS?(?:[^A-Z]|$)");

    // Says where something is and not how to get in: neither user nor parameters.
    private static final Pattern PLAIN_URL =
            Pattern.compile("^[A-Za-z][A-Za-z0-9+.:-]*://[A-Za-z0-9._~:/%,\\[\\]-]*$");

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

    // The path of a socket or of a key file, as in SSH_AUTH_SOCK, may be known to everybody, and so
    // may a plain URL.
    private static boolean isSecret(String name, String value) {
        return value.codePointCount(0, value.length()) >= MIN_LENGTH
                && SECRET_NAME.matcher(name).find()
                && !PLAIN_URL.matcher(value).find()
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
                .flatMap(argument -> copiedTo(valueOf(argument)).stream())
                .distinct()
                .map(secret -> warning(testTask, "JVM argument", secret))
                .collect(Collectors.toList());
    }

    private List<String> copiedTo(String value) {
        return secrets.entrySet().stream()
                .filter(secret -> holds(value, secret.getValue()))
                .map(Map.Entry::getKey)
                .collect(Collectors.toList());
    }

    // -Djavax.net.ssl.trustStorePassword= is no copy of the password "password".
    private static String valueOf(String argument) {
        return argument.substring(argument.indexOf('=') + 1);
    }

    // Not as a part of a word: the password "postgres" is not in "jdbc:postgresql:".
    private static boolean holds(String text, String secret) {
        for (int at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) {
            if (!isOfWord(text, at - 1) && !isOfWord(text, at + secret.length())) {
                return true;
            }
        }
        return false;
    }

    private static boolean isAsciiAlphanumeric(char c) {
        return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z';
    }

    private static boolean isOfWord(String text, int at) {
        return at >= 0 && at < text.length() && isAsciiAlphanumeric(text.charAt(at));
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
