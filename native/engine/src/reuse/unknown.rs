//! What makes the reach of a class unknowable: calls that load classes by names made at run time, and frameworks that
//! search the classpath. A class that does so, and every test that reaches it, counts by its whole classpath.
//!
//! Not here, because it needs no guess: `java.util.ServiceLoader` (the providers that resources name are reached by every
//! test), streams of resources (all resources count for every test), `java.lang.reflect` on classes that are at hand.

use std::borrow::Cow;

/// Calls by class and method.
const CALLS: &[(&str, &[&str])] = &[
    ("java/lang/Class", &["forName", "getResource"]),
    (
        "java/lang/ClassLoader",
        &[
            "loadClass",
            "findClass",
            "defineClass",
            "getResource",
            "getResources",
            "getSystemResource",
            "getSystemResources",
            "getSystemClassLoader",
            "resources",
        ],
    ),
    ("java/lang/Thread", &["getContextClassLoader"]),
    ("java/lang/Module", &["getClassLoader", "getPackages"]),
    ("java/lang/Package", &["getPackages"]),
    ("java/lang/invoke/MethodHandles$Lookup", &["findClass", "defineClass", "defineHiddenClass", "accessClass"]),
    ("java/lang/invoke/MethodType", &["fromMethodDescriptorString"]),
];

/// Names of any class that loads classes, whoever declares it: a call of one through a subclass names the subclass.
const CALLS_OF_ANY_CLASS: &[&str] = &["loadClass", "defineClass", "findLoadedClass"];

/// Classes, or packages with a slash at the end, whose use says that names are looked for at run time: parts of the JDK,
/// searches of the classpath, containers, tests that choose tests, steps that are found by scanning, languages that call by
/// name. Sorted, and none begins with another: see [`by_class`].
const USES: &[&str] = &[
    "clojure/lang/",
    "com/google/common/reflect/ClassPath",
    "com/google/inject/",
    "com/thoughtworks/gauge/",
    "com/tngtech/archunit/",
    "cucumber/",
    "eu/infomas/annotation/",
    "groovy/lang/",
    "io/cucumber/",
    "io/dropwizard/",
    "io/github/classgraph/",
    "io/github/lukehutch/fastclasspathscanner/",
    "io/helidon/",
    "io/kotest/",
    "io/micronaut/",
    "io/quarkus/",
    "jakarta/ejb/",
    "jakarta/enterprise/",
    "jakarta/persistence/",
    "jakarta/servlet/annotation/",
    "jakarta/xml/bind/",
    "java/beans/XMLDecoder",
    "java/lang/ModuleLayer",
    "java/lang/instrument/",
    "java/lang/module/",
    "java/net/URLClassLoader",
    "java/security/SecureClassLoader",
    "javax/ejb/",
    "javax/enterprise/",
    "javax/naming/InitialContext",
    "javax/persistence/",
    "javax/script/",
    "javax/servlet/annotation/",
    "javax/tools/",
    "javax/xml/bind/",
    "jdk/internal/loader/",
    "kotlin/reflect/full/",
    "kotlin/reflect/jvm/",
    "liquibase/",
    "net/serenitybdd/",
    "org/apache/catalina/",
    "org/apache/deltaspike/",
    "org/apache/groovy/",
    "org/apache/openejb/",
    "org/apache/webbeans/",
    "org/burningwave/",
    "org/codehaus/groovy/",
    "org/eclipse/jetty/",
    "org/eclipse/persistence/",
    "org/flywaydb/",
    "org/glassfish/",
    "org/graalvm/polyglot/",
    "org/hibernate/",
    "org/jbehave/",
    "org/jboss/arquillian/",
    "org/jboss/jandex/",
    "org/jboss/weld/",
    "org/jruby/",
    "org/junit/experimental/categories/Categories",
    "org/junit/extensions/cpsuite/",
    "org/junit/platform/commons/support/ReflectionSupport",
    "org/junit/platform/commons/util/ReflectionUtils",
    "org/junit/platform/console/",
    "org/junit/platform/engine/",
    "org/junit/platform/launcher/",
    "org/junit/platform/suite/api/SelectClasspathResource",
    "org/junit/platform/suite/api/SelectDirectories",
    "org/junit/platform/suite/api/SelectFile",
    "org/junit/platform/suite/api/SelectModules",
    "org/junit/platform/suite/api/SelectPackages",
    "org/junit/platform/suite/api/SelectUris",
    "org/mozilla/javascript/",
    "org/ops4j/",
    "org/osgi/",
    "org/python/",
    "org/reflections/",
    "org/scannotation/",
    "org/springframework/",
    "org/testng/TestNG",
    "org/testng/xml/",
    "scala/reflect/internal/",
    "scala/reflect/runtime/",
    "scala/tools/",
    "sun/misc/Launcher",
];

/// Texts that ask the JVM where its classes are.
const TEXTS: &[&str] =
    &["java.class.path", "jdk.module.path", "java.protocol.handler.pkgs", "surefire.test.class.path"];

/// What of [`USES`] a class belongs to, named with slashes; arrays count as their elements.
pub(super) fn by_class(class: &str) -> Option<&'static str> {
    let element = class.trim_start_matches('[');
    let element = element.strip_prefix('L').filter(|_| element.len() < class.len()).unwrap_or(element);
    // Of sorted names none of which begins with another, the one that `element` begins with is the last before it.
    let known = USES[..USES.partition_point(|known| *known <= element)].last()?;
    let rest = element.strip_prefix(known)?;
    (known.ends_with('/') || rest.is_empty() || rest.starts_with([';', '$'])).then_some(known)
}

/// Why a class that uses [`by_class`] may load any other.
pub(super) fn uses(known: &'static str) -> Cow<'static, str> {
    format!("uses {}", known.trim_end_matches('/').replace('/', ".")).into()
}

/// Why a class that calls `method` of `class` may load any other.
pub(super) fn by_call(class: &str, method: &str) -> Option<Cow<'static, str>> {
    let is_listed = CALLS.iter().any(|(known, methods)| *known == class && methods.contains(&method));
    (is_listed || CALLS_OF_ANY_CLASS.contains(&method))
        .then(|| format!("calls {}.{method}", class.replace('/', ".")).into())
}

/// Why a class that has the text may load any other.
pub(super) fn by_text(text: &str) -> Option<&'static str> {
    TEXTS.iter().find(|known| **known == text).map(|_| "asks for the JVM's classpath")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_by_name_is_known() {
        for (class, method) in [
            ("java/lang/Class", "forName"),
            ("java/lang/ClassLoader", "loadClass"),
            ("com/acme/OwnLoader", "loadClass"),
            ("java/lang/invoke/MethodHandles$Lookup", "findClass"),
        ] {
            assert!(by_call(class, method).is_some(), "{class} {method}");
        }
        for (class, method) in [
            ("java/lang/Class", "getResourceAsStream"),
            ("java/lang/Class", "getName"),
            ("java/util/ServiceLoader", "load"),
            ("com/acme/A", "forName"),
        ] {
            assert_eq!(by_call(class, method), None, "{class} {method}");
        }
    }

    #[test]
    fn the_list_can_be_searched() {
        for pair in USES.windows(2) {
            assert!(pair[0] < pair[1] && !pair[1].starts_with(pair[0]), "{pair:?}");
        }
    }

    #[test]
    fn frameworks_are_known_by_packages_and_classes() {
        for class in [
            "org/springframework/context/ApplicationContext",
            "[Lorg/springframework/core/Ordered;",
            "groovy/lang/GroovyObject",
            "java/net/URLClassLoader",
            "java/lang/module/ModuleFinder",
            "org/testng/TestNG",
            "org/testng/TestNG$Nested",
        ] {
            assert!(by_class(class).is_some(), "{class}");
        }
        for class in ["org/testng/TestNGException", "org/testng/annotations/Test", "java/lang/String", "Lucky", "[I"] {
            assert_eq!(by_class(class), None, "{class}");
        }
    }
}
