package shop

import org.junit.jupiter.api.Test
import spock.lang.Ignore
import spock.lang.IgnoreIf
import spock.lang.Shared
import spock.lang.Specification
import spock.lang.Stepwise
import spock.lang.Tag
import spock.lang.Unroll

class CartSpec extends Specification {
    @Shared List<String> goods = ['tea']

    def "adds what is put in"() {
        expect: goods.size() == 1
    }

    def "a name with 'quotes', tabs\tand \"more\""() {
        expect: true
    }

    @Unroll("#a and #b")
    def "the sum of #a and #b"() {
        expect: a + b == sum
        where:
        a | b || sum
        1 | 2 || 3
        2 | 2 || 4
    }

    @Ignore
    def "ignored"() {
        expect: false
    }

    def plainName() {
        when: def x = 1
        then: x == 1
    }

    def helper() { 3 }
    def setup() {}
    def cleanupSpec() {}

    static class InsideSpec extends Specification {
        def "inside"() {
            expect: true
        }
    }
}

abstract class BaseSpec extends Specification {
    def "inherited"() {
        expect: true
    }

    def "in both"() {
        expect: true
    }
}

@Tag("slow")
class DerivedSpec extends BaseSpec {
    def "own"() {
        expect: true
    }

    def "in both"() {
        expect: true
    }
}

class OnlyInheritsSpec extends BaseSpec {}

@Ignore
class IgnoredSpec extends Specification {
    def "of an ignored one"() {
        expect: true
    }
}

@IgnoreIf({ true })
class IgnoredIfSpec extends Specification {
    def "of one ignored by a condition"() {
        expect: true
    }
}

@Stepwise
class OrderedSpec extends Specification {
    def "first"() {
        expect: true
    }

    def "second"() {
        expect: true
    }
}

class EmptySpec extends Specification {
    def helper() { 1 }
}

class GroovyJupiterTest {
    @Test void plain() {}
    @Test void 'with a text'() {}
    @Test def withResult() {}
    @Test private void hidden() {}
}
