package dev.vestibule.testing;

/**
 * One mistake in a request.
 *
 * @param field a dotted name such as {@code passwordless.validity_s}; empty for the request as a whole
 * @param reason what is wrong with the field
 */
public record FieldError(String field, String reason) {}
