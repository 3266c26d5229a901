package troublemakers;

import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

@TestMethodOrder(MethodOrderer.MethodName.class)
class HaltTest {
    @Test
    void a() {}

    @Test
    void b() {
        Runtime.getRuntime().halt(9);
    }

    @Test
    void c() {}
}
