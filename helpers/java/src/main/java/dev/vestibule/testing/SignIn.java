package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.net.URI;

/**
 * Where the browser would be after an instant sign-in.
 *
 * @param callbackUrl the application's callback, with {@code code} and {@code state} or with an {@code error}
 * @param code the callback's code; {@code null} where there is none
 * @param state the callback's state; {@code null} where there is none
 * @param error the callback's error; {@code null} where there is none
 * @param sessionCookie the value of the environment's session cookie; {@code null} where there is none
 */
public record SignIn(
    @JsonProperty("callback_url") URI callbackUrl,
    String code,
    String state,
    String error,
    @JsonProperty("session_cookie") String sessionCookie) {}
