package drill;

import org.junit.jupiter.api.RepeatedTest;

/** Long enough for something to happen meanwhile. */
class SlowTest {
    @RepeatedTest(8)
    void sleeps() throws InterruptedException {
        Thread.sleep(1_000);
    }
}
