package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;

/** How far workers are kept apart. */
class IsolationTest {
    /** Takes a port and a file that all workers name alike, and leaves only when the other came. */
    private static final String MEETS =
            "@Test void meets() throws Exception {\n"
                + "  java.nio.file.Path mine = java.nio.file.Paths.get(\"/tmp/testfleet-meets\");\n"
                + "  java.nio.file.Files.createFile(mine);\n"
                + "  java.net.InetAddress here = java.net.InetAddress.getLoopbackAddress();\n"
                + "  try (java.net.ServerSocket port = new java.net.ServerSocket(38471, 1, here);\n"
                + "      java.net.Socket talk = new java.net.Socket(here, 38471)) {\n"
                + "    String worker = System.getenv(\"TESTFLEET_WORKER\");\n"
                + "    String other = worker.equals(\"1\") ? \"2\" : \"1\";\n"
                + "    java.nio.file.Path home ="
                + " java.nio.file.Paths.get(System.getProperty(\"user.home\"));\n"
                + "    java.nio.file.Files.writeString(home.resolve(\"mine\"), worker);\n"
                + "    java.nio.file.Files.writeString(java.nio.file.Paths.get(\"came-\" +"
                + " worker),\n"
                + "        home + \"\\n"
                + "\" + System.getenv(\"HOME\") + \"\\n"
                + "\" + ProcessHandle.allProcesses().count());\n"
                + "    for (int i = 0; i < 600 && !new java.io.File(\"came-\" + other).exists();"
                + " i++) Thread.sleep(50);\n"
                + "    org.junit.jupiter.api.Assertions.assertTrue(new java.io.File(\"came-\" +"
                + " other).exists());\n"
                + "  } }";

    @TempDir private Path dir;

    @Test
    void workersInNamespacesMeetNeitherAtPortsNorInTmp() throws Exception {
        GradleBuild build = meeting("isolation = 'namespace'");
        build.succeeds("runParallel");
        String[] one = Files.readString(build.path("came-1")).split("\n");
        String[] two = Files.readString(build.path("came-2")).split("\n");
        assertFalse(one[0].equals(two[0]), "both live in " + one[0]);
        assertEquals(one[0], one[1], "user.home and HOME");
        assertTrue(Integer.parseInt(one[2]) < 6, one[2] + " processes are seen");
        assertFalse(Files.exists(Path.of(one[0])), "the worker's home is left");
        assertFalse(Files.exists(Path.of("/tmp/testfleet-meets")), "it came out of the namespace");
    }

    @Test
    void workersWithoutNamespacesDoMeet() throws Exception {
        GradleBuild build = meeting("isolation = 'directory'");
        try {
            build.fails("runParallel").says("did not pass");
        } finally {
            Files.deleteIfExists(Path.of("/tmp/testfleet-meets"));
        }
    }

    private GradleBuild meeting(String isolation) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        Gradles.NEWEST, dir, "testfleet { workers = 2; " + isolation + " }");
        build.jupiterTest("OneTest", MEETS);
        build.jupiterTest("TwoTest", MEETS);
        return build;
    }
}
