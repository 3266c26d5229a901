package dev.testfleet.harness.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.TestName;
import dev.testfleet.harness.wire.Thrown;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;

class NamesAndTextsTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "''                          | m()",
                "int                         | m(int)",
                "int,java.lang.String        | m(int, java.lang.String)",
                "'[I, [[Ljava.lang.String;'  | 'm(int[], java.lang.String[][])'",
                "com.acme.Outer$Inner        | m(com.acme.Outer$Inner)"
            })
    void methodsHaveTheTypesOfTheirSources(String binaryNames, String expected) {
        assertEquals(expected, MethodNames.of("m", binaryNames));
    }

    @Test
    void reflectedMethodsAreNamedAlike() throws Exception {
        assertEquals(
                "copyOf(java.lang.Object[], int, java.lang.Class)",
                MethodNames.of(
                        java.util.Arrays.class.getMethod(
                                "copyOf", Object[].class, int.class, Class.class)));
    }

    private static LegacyNames resolve(String name, List<String> groups, String... planned) {
        Set<String> methods = Set.of(planned);
        LegacyNames.Resolver resolver =
                new LegacyNames.Resolver(test -> methods.contains(test.method));
        LegacyNames.Above above = resolver.top("a.B", Suites.NONE);
        for (int i = groups.size(); i-- > 0; ) {
            above = resolver.below(above, null, groups.get(i));
        }
        return resolver.resolve("a.B", name, above);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "m              | false", "m[0]           | true",
                "m[0: a[1]=2]   | true", "m(1, 2) [0]    | true",
                "m first        | true", "[0] 1, 2 (m)   | true"
            })
    void legacyNamesFindTheirPlannedTest(String name, boolean invocation) {
        LegacyNames names = resolve(name, List.of("m", "a.B"), "m()", "other()");
        assertEquals(new TestName("a.B", "m()"), names.test);
        assertEquals(invocation, names.invocation);
    }

    @Test
    void legacyNamesThatNobodyPlannedKeepTheirName() {
        assertEquals("n()", resolve("n", List.of()).test.method);
        assertEquals("n()", resolve("n[1]", List.of()).test.method);
        assertTrue(resolve("n[1]", List.of()).invocation);
        assertTrue(resolve("initializationError", List.of()).classFailure);
    }

    @Test
    void longTextsKeepHeadAndTail() {
        String text = "head" + "x".repeat(1_000_000) + "tail";
        String bounded = BoundedText.bound(text);
        assertTrue(bounded.startsWith("headxxx"));
        assertTrue(bounded.endsWith("xxxtail"));
        assertTrue(bounded.contains((text.length() - BoundedText.LIMIT) + " characters left out"));
        assertTrue(bounded.length() < BoundedText.LIMIT + 100);
        String exact = "y".repeat(BoundedText.LIMIT);
        assertEquals(exact, BoundedText.bound(exact));
        assertEquals("", BoundedText.bound(""));
    }

    @Test
    void aResultHasRoomForSoManyExceptions() {
        List<Throwable> thrown = new ArrayList<>();
        for (int i = 0; i < 5_000; i++) {
            thrown.add(new IllegalStateException("number " + i));
        }
        List<Thrown> described = Result.failed(thrown).thrown;
        assertEquals(Exceptions.MOST + 1, described.size());
        assertEquals("number 99", described.get(99).message);
        assertEquals("... and 4900 more, which are left out", described.get(100).message);
        assertEquals(100, Result.failed(thrown.subList(0, 100)).thrown.size());
    }

    @Test
    void aResultHasRoomForSoMuchTextOfExceptions() {
        String large = "\u0001".repeat(BoundedText.LIMIT);
        List<Throwable> thrown = Collections.nCopies(50, new IllegalStateException(large));
        List<Thrown> described = Result.failed(thrown).thrown;
        assertTrue(described.size() < 12, described.size() + " exceptions");
        assertEquals("LeftOut", described.get(described.size() - 1).kind);
    }
}
