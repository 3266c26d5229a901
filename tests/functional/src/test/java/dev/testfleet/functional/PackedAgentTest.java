package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** The agent in the plugin's jar runs on any Linux of its processor, whatever libc that has. */
@EnabledOnOs(OS.LINUX)
class PackedAgentTest {
    // The ELF-64 format: offsets in the file's header, size and types of a program header.
    private static final int ELF_MAGIC = 0x7F454C46;
    private static final int CLASS_AT = 4;
    private static final int CLASS_64 = 2;
    private static final int DATA_AT = 5;
    private static final int LITTLE_ENDIAN = 1;
    private static final int PROGRAM_HEADERS_AT = 32;
    private static final int PROGRAM_HEADER_SIZE_AT = 54;
    private static final int PROGRAM_HEADER_COUNT_AT = 56;
    private static final int PT_LOAD = 1;
    private static final int PT_INTERP = 3;

    @Test
    void itNeedsNoDynamicLinker() throws Exception {
        try (ZipFile jar = new ZipFile(RebuiltPluginTest.pluginJar().toFile())) {
            List<? extends ZipEntry> agents =
                    jar.stream()
                            .filter(
                                    it ->
                                            it.getName()
                                                    .matches("native/linux-[^/]+/testfleet-agent"))
                            .collect(Collectors.toList());
            assertFalse(agents.isEmpty(), "the jar has an agent for Linux");
            for (ZipEntry agent : agents) {
                List<Integer> types = programHeaderTypes(jar, agent);
                assertTrue(types.contains(PT_LOAD), agent + " has program headers: " + types);
                assertFalse(types.contains(PT_INTERP), agent + " asks for a dynamic linker");
            }
        }
    }

    private static List<Integer> programHeaderTypes(ZipFile jar, ZipEntry entry)
            throws IOException {
        ByteBuffer elf;
        try (InputStream in = jar.getInputStream(entry)) {
            elf = ByteBuffer.wrap(in.readAllBytes());
        }
        assertEquals(ELF_MAGIC, elf.getInt(0), entry + " is an ELF file");
        assertEquals(CLASS_64, elf.get(CLASS_AT), entry + " is for 64 bits");
        boolean little = elf.get(DATA_AT) == LITTLE_ENDIAN;
        elf.order(little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        int first = Math.toIntExact(elf.getLong(PROGRAM_HEADERS_AT));
        int size = elf.getShort(PROGRAM_HEADER_SIZE_AT);
        int count = elf.getShort(PROGRAM_HEADER_COUNT_AT);
        List<Integer> types = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            types.add(elf.getInt(first + i * size));
        }
        return types;
    }
}
