//! JNI
