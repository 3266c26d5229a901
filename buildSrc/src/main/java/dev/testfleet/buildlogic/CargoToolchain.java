package dev.testfleet.buildlogic;

import org.gradle.api.provider.ValueSource;
import org.gradle.api.provider.ValueSourceParameters;
import org.gradle.process.ExecOperations;

import javax.inject.Inject;

/** The Rust toolchain as an input: another compiler or another host gives other binaries. */
public abstract class CargoToolchain implements ValueSource<String, ValueSourceParameters.None> {
    /** Runs the toolchain's programs. */
    @Inject
    protected abstract ExecOperations getExecOperations();

    @Override
    public String obtain() {
        return new Cargo(getExecOperations()).describe();
    }
}
