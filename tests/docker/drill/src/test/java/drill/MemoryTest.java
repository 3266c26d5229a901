package drill;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

/** Its heap may have more than its container. */
class MemoryTest {
    @Test
    void takesAll() {
        List<byte[]> taken = new ArrayList<>();
        for (int i = 0; i < 800; i++) {
            byte[] megabyte = new byte[1 << 20];
            for (int at = 0; at < megabyte.length; at += 4096) {
                megabyte[at] = 1;
            }
            taken.add(megabyte);
        }
        System.out.println(taken.size());
    }
}
