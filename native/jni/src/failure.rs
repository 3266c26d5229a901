//! Failures and panics as one Java exception.

use jni::errors::ErrorPolicy;
use jni::objects::{JThrowable, JValue};
use jni::{Env, jni_sig, jni_str};
use std::any::Any;
use testfleet_protocol::{Failure, FailureCode};

/// Why a native function can't return a value.
pub(crate) enum Error {
    Failure(Failure),
    Jni(jni::errors::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<jni::errors::Error> for Error {
    fn from(error: jni::errors::Error) -> Self {
        Self::Jni(error)
    }
}

/// Throws `dev.testfleet.gradle.internal.EngineException` and returns the default value.
pub(crate) struct ThrowEngineException;

impl<T: Default> ErrorPolicy<T, Error> for ThrowEngineException {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        _captures: &mut Self::Captures<'unowned_env_local, 'native_method>,
        error: Error,
    ) -> jni::errors::Result<T> {
        let failure = match error {
            Error::Failure(failure) => failure,
            Error::Jni(error) => Failure::new(FailureCode::Internal, "failed to talk to the JVM").cause(&error),
        };
        throw(env, &failure)?;
        Ok(T::default())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        _captures: &mut Self::Captures<'unowned_env_local, 'native_method>,
        payload: Box<dyn Any + Send + 'static>,
    ) -> jni::errors::Result<T> {
        throw(env, &testfleet_engine::session::panicked(payload.as_ref()))?;
        Ok(T::default())
    }
}

fn throw(env: &mut Env<'_>, failure: &Failure) -> jni::errors::Result<()> {
    if env.exception_check() {
        return Ok(()); // The JVM's own exception says more.
    }
    let code = serde_json::to_value(failure.code).ok().and_then(|code| code.as_str().map(str::to_owned));
    let code = env.new_string(code.unwrap_or_else(|| "internal".to_owned()))?;
    let message = env.new_string(failure.to_string())?;
    let exception = env.new_object(
        jni_str!("dev/testfleet/gradle/internal/EngineException"),
        jni_sig!("(Ljava/lang/String;Ljava/lang/String;)V"),
        &[JValue::Object(&code), JValue::Object(&message)],
    )?;
    let exception = env.cast_local::<JThrowable>(exception)?;
    // `throw` answers with an error that says that an exception is pending: that is what is wanted.
    let _ = env.throw(exception);
    Ok(())
}
