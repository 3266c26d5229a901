package troublemakers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GoodTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4})
    void isAsItShould(int number) throws InterruptedException {
        Thread.sleep(250);
        assertEquals(2 * number, number + number);
    }
}
