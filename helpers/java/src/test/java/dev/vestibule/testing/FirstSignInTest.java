package dev.vestibule.testing;

import static dev.vestibule.testing.Browser.openSignIn;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vestibule.testing.Browser.Tokens;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(VestibuleExtension.class)
class FirstSignInTest {
  @Test
  void signsIn(VestibuleEnvironment env) {
    Browser browser = openSignIn(env, "ada@example.com"); // your application, in your test's browser
    String code = env.waitForCode("ada@example.com");
    Tokens tokens = browser.enterCode(code);

    assertEquals("ada@example.com", tokens.email());
  }
}
