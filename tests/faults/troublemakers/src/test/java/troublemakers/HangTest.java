package troublemakers;

import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

import java.util.concurrent.CountDownLatch;

@TestMethodOrder(MethodOrderer.MethodName.class)
class HangTest {
    @Test
    void a() {}

    @Test
    void b() throws InterruptedException {
        new CountDownLatch(1).await();
    }

    @Test
    void c() {}
}
