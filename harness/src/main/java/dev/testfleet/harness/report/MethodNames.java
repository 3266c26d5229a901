package dev.testfleet.harness.report;

import java.lang.reflect.Method;

/** Writes methods as planned tests name them: {@code adds(int, java.lang.String[])}. */
public final class MethodNames {
    private MethodNames() {}

    public static String of(Method method) {
        StringBuilder text = new StringBuilder(method.getName()).append('(');
        String separator = "";
        for (Class<?> type : method.getParameterTypes()) {
            text.append(separator).append(type.getTypeName());
            separator = ", ";
        }
        return text.append(')').toString();
    }

    /**
     * @param types binary names separated by commas, as JUnit Platform's method sources have them;
     *     may be null or empty
     */
    public static String of(String method, String types) {
        StringBuilder text = new StringBuilder(method).append('(');
        if (types != null && !types.trim().isEmpty()) {
            String separator = "";
            for (String type : types.split(",")) {
                text.append(separator).append(sourceName(type.trim()));
                separator = ", ";
            }
        }
        return text.append(')').toString();
    }

    /** {@code [Ljava.lang.String;} becomes {@code java.lang.String[]}. */
    private static String sourceName(String type) {
        int depth = 0;
        while (depth < type.length() && type.charAt(depth) == '[') {
            depth++;
        }
        if (depth == 0) {
            return type;
        }
        StringBuilder name = new StringBuilder(elementName(type.substring(depth)));
        for (int i = 0; i < depth; i++) {
            name.append("[]");
        }
        return name.toString();
    }

    private static String elementName(String descriptor) {
        switch (descriptor) {
            case "B":
                return "byte";
            case "C":
                return "char";
            case "D":
                return "double";
            case "F":
                return "float";
            case "I":
                return "int";
            case "J":
                return "long";
            case "S":
                return "short";
            case "Z":
                return "boolean";
            default:
                return descriptor.startsWith("L") && descriptor.endsWith(";")
                        ? descriptor.substring(1, descriptor.length() - 1)
                        : descriptor;
        }
    }
}
