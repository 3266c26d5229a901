//! Functions through which a JVM drives the engine: `dev.testfleet.gradle.internal.Engine`.
//!
//! Requests and events cross as UTF-8 JSON in byte arrays, because JNI's own strings are modified
//! UTF-8. The Java thread pulls events; nothing here calls up into the JVM except to throw. A handle
//! is an id in a table. A failure, and a panic with its backtrace, becomes an
//! `EngineException(code, message)`.
#![allow(unsafe_code, reason = "exported symbols; this is the one crate that talks to a JVM")]

mod failure;

use failure::ThrowEngineException;
use jni::objects::{JByteArray, JClass, JString};
use jni::sys::{jint, jlong};
use jni::{EnvUnowned, jni_mangle};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testfleet_engine::session::Session;
use testfleet_protocol::{Failure, FailureCode};

#[derive(Default)]
struct Sessions {
    last: jlong,
    open: HashMap<jlong, Arc<Session>>,
}

static SESSIONS: LazyLock<Mutex<Sessions>> = LazyLock::new(Mutex::default);

fn sessions() -> MutexGuard<'static, Sessions> {
    // A panic elsewhere leaves a map of ids that is still whole.
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn session(handle: jlong) -> Result<Arc<Session>, Failure> {
    sessions().open.get(&handle).cloned().ok_or_else(|| {
        Failure::new(FailureCode::Internal, format!("failed to find session {handle}: it was closed or never opened"))
    })
}

/// `static native String version()`
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn version<'local>(mut env: EnvUnowned<'local>, _class: JClass<'local>) -> JString<'local> {
    env.with_env(|env| -> Result<_, failure::Error> { Ok(env.new_string(env!("CARGO_PKG_VERSION"))?) })
        .resolve::<ThrowEngineException>()
}

/// `static native long open(byte[] request)`: starts an [`testfleet_protocol::request::OpenRequest`].
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn open<'local>(mut env: EnvUnowned<'local>, _class: JClass<'local>, request: JByteArray<'local>) -> jlong {
    env.with_env(|env| -> Result<_, failure::Error> {
        testfleet_engine::session::remember_panics();
        let bytes = env.convert_byte_array(&request)?;
        let session = Arc::new(Session::open_json(&bytes)?);
        let mut sessions = sessions();
        sessions.last += 1;
        let handle = sessions.last;
        sessions.open.insert(handle, session);
        Ok(handle)
    })
    .resolve::<ThrowEngineException>()
}

/// `static native byte[] nextEvent(long handle, int timeoutMillis)`: a
/// [`testfleet_protocol::event::Event`], or `null` when none came in time.
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn next_event<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    timeout_millis: jint,
) -> JByteArray<'local> {
    env.with_env(|env| -> Result<_, failure::Error> {
        let timeout = Duration::from_millis(u64::try_from(timeout_millis).unwrap_or(0));
        match session(handle)?.next_event(timeout) {
            None => Ok(JByteArray::null()),
            Some(event) => {
                let json = serde_json::to_vec(&event).map_err(|error| {
                    Failure::new(FailureCode::Internal, "failed to write an event as JSON").cause(&error)
                })?;
                Ok(env.byte_array_from_slice(&json)?)
            }
        }
    })
    .resolve::<ThrowEngineException>()
}

/// `static native void cancel(long handle)`: asks for the end; events go on until the last one.
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn cancel<'local>(mut env: EnvUnowned<'local>, _class: JClass<'local>, handle: jlong) {
    env.with_env(|_| -> Result<_, failure::Error> {
        session(handle)?.cancel();
        Ok(())
    })
    .resolve::<ThrowEngineException>();
}

/// `static native void close(long handle)`: cancels what still runs, waits for it and forgets the handle.
/// Closing twice is fine.
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn close<'local>(mut env: EnvUnowned<'local>, _class: JClass<'local>, handle: jlong) {
    env.with_env(|_| -> Result<_, failure::Error> {
        let session = sessions().open.remove(&handle);
        if let Some(session) = session {
            session.close();
        }
        Ok(())
    })
    .resolve::<ThrowEngineException>();
}

/// `static native void shutdown()`: closes all sessions, so that no thread of this library is left when
/// its class loader goes.
#[jni_mangle("dev.testfleet.gradle.internal.Engine")]
pub fn shutdown<'local>(mut env: EnvUnowned<'local>, _class: JClass<'local>) {
    env.with_env(|_| -> Result<_, failure::Error> {
        let open = std::mem::take(&mut sessions().open);
        for session in open.values() {
            session.cancel();
        }
        for session in open.into_values() {
            session.close();
        }
        Ok(())
    })
    .resolve::<ThrowEngineException>();
}
