package troublemakers;

import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

import java.util.ArrayList;
import java.util.List;

@TestMethodOrder(MethodOrderer.MethodName.class)
class MemoryTest {
    @Test
    void a() {}

    @Test
    void b() {
        List<long[]> all = new ArrayList<>();
        while (true) {
            all.add(new long[1 << 17]);
        }
    }

    @Test
    void c() {}
}
