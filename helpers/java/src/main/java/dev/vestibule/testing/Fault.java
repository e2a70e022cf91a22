package dev.vestibule.testing;

/**
 * A fault rule that is in place.
 *
 * @param id the rule's id; answers that it touches carry it as {@code x-vestibule-fault}
 * @param matched requests that the rule was about so far
 * @param fired requests that went wrong so far
 */
public record Fault(String id, long matched, long fired) {}
