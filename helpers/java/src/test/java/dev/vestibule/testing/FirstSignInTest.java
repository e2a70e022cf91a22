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
    Inbox inbox = env.inbox("ada@example.com"); // what arrives from now on
    Browser browser = openSignIn(env, "ada@example.com"); // your application, in your test's browser
    Tokens tokens = browser.enterCode(inbox.nextCode());

    assertEquals("ada@example.com", tokens.email());
  }
}
