/**
 * What users of the plugin do not touch: the engine, and how modules reach the project that runs
 * their tests.
 */
package dev.testfleet.gradle.internal;
