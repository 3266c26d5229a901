package shop

import org.junit.jupiter.api.Disabled
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Nested
import org.junit.jupiter.api.RepeatedTest
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.TestInstance
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource
import kotlin.test.AfterTest
import kotlin.test.BeforeTest
import kotlin.test.Ignore
import kotlin.test.Test

@Test fun topLevel() {}

class CartTest {
    @BeforeTest fun before() {}
    @AfterTest fun after() {}
    @Test fun plain() {}
    @Test fun `a name with blanks, and commas`() {}
    @Test internal fun internalName() {}
    @Test fun withResult() = 3
    @Test fun withUnit(): Unit = Unit
    @org.junit.jupiter.api.Test suspend fun suspending() {}
    @ParameterizedTest @ValueSource(ints = [1]) suspend fun suspendingWith(number: Int) {}
    @Test private fun hidden() {}
    @Ignore @Test fun ignored() {}
    @ParameterizedTest @ValueSource(ints = [1, 2]) fun parameterized(number: Int) {}
    @ParameterizedTest @ValueSource(ints = [1, 2]) fun boxed(number: Int?) {}
    @RepeatedTest(3) fun repeated() {}
    @TestFactory fun factory() = listOf(DynamicTest.dynamicTest("one") {})
    @TestFactory fun sequence() = sequenceOf(DynamicTest.dynamicTest("one") {})
    @TestFactory fun array() = arrayOf(DynamicTest.dynamicTest("one") {})
    @TestFactory fun single() = DynamicTest.dynamicTest("one") {}
    @TestFactory fun number() = 3
    @TestFactory fun text() = "none"

    @Nested inner class Inside {
        @Test fun nested() {}
        @Nested inner class Deep {
            @Test fun deep() {}
        }
    }

    @Nested class NotInner {
        @Test fun standalone() {}
    }

    companion object {
        @Test fun ofTheCompanion() {}
        @JvmStatic @Test fun static() {}
    }
}

object Single {
    @Test fun ofAnObject() {}
}

interface Contract {
    @Test fun fromInterface() {}
    @Test fun open()
}

class ContractTest : Contract {
    @Test override fun open() {}
}

abstract class Base<T> {
    @Test fun inherited() {}
    @Test open fun overridden() {}
    @Test abstract fun takes()
}

class DerivedTest : Base<String>() {
    override fun overridden() {}
    @Test override fun takes() {}
}

@Tag("slow")
@Target(AnnotationTarget.FUNCTION)
@Test
annotation class SlowTest

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ComposedTest {
    @SlowTest fun slow() {}
}

private class PrivateTest {
    @Test fun ofAPrivateClass() {}
}

internal class InternalTest {
    @Test fun ofAnInternalClass() {}
}

sealed class Sealed {
    @Test fun ofASealedClass() {}
    class One : Sealed()
}

data class DataTest(val number: Int = 1) {
    @Test fun ofADataClass() {}
}

@Disabled
enum class EnumTest {
    ONE, TWO { override fun toString() = "2" };

    @Test fun ofAnEnum() {}
}
