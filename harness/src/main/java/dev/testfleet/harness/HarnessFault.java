package dev.testfleet.harness;

/** The harness can't work here, with a hint that says what to do about it. */
public final class HarnessFault extends Exception {
    private static final long serialVersionUID = 1;

    /** May be empty. */
    public final String hint;

    /**
     * @param cause may be null
     */
    public HarnessFault(String message, String hint, Throwable cause) {
        super(message, cause);
        this.hint = hint;
    }
}
