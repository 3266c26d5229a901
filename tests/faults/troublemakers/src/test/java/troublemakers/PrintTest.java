package troublemakers;

import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

import java.util.Arrays;

@TestMethodOrder(MethodOrderer.MethodName.class)
class PrintTest {
    @Test
    void a() {}

    /** As many bytes as the drill says, 2 GB unless it does. */
    @Test
    void b() {
        String wanted = System.getenv("DRILL_PRINT_BYTES");
        long left = wanted == null ? 2_000_000_000L : Long.parseLong(wanted);
        char[] line = new char[999];
        Arrays.fill(line, 'x');
        for (; left > 0; left -= line.length + 1) {
            System.out.println(line);
        }
    }

    @Test
    void c() {}
}
